// Node's Buffer, as far as templates use it: bytes from a text in some encoding, and back.

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const BASE64_URL = `${BASE64.slice(0, 62)}-_`;
const BASE64_VALUES = {};
for (let index = 0; index < 64; index += 1) {
  BASE64_VALUES[BASE64[index]] = index;
  BASE64_VALUES[BASE64_URL[index]] = index;
}
// How many characters `String.fromCharCode` is given at a time.
const CHUNK = 4096;

function textOf(codes) {
  let text = '';
  for (let start = 0; start < codes.length; start += CHUNK) {
    text += String.fromCharCode.apply(null, Array.prototype.slice.call(codes, start, start + CHUNK));
  }
  return text;
}

function utf8Bytes(text) {
  const bytes = [];
  for (const character of text) {
    let code = character.codePointAt(0);
    if (code >= 0xD800 && code <= 0xDFFF) code = 0xFFFD;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xC0 | code >> 6, 0x80 | code & 63);
    else if (code < 0x10000) bytes.push(0xE0 | code >> 12, 0x80 | code >> 6 & 63, 0x80 | code & 63);
    else bytes.push(0xF0 | code >> 18, 0x80 | code >> 12 & 63, 0x80 | code >> 6 & 63, 0x80 | code & 63);
  }
  return bytes;
}

// What a leading byte says: how many bytes follow, and within which bounds the first of them must be.
function sequenceOf(lead) {
  if (lead >= 0xC2 && lead <= 0xDF) return [1, 0x80, 0xBF];
  if (lead >= 0xE0 && lead <= 0xEF) return [2, lead === 0xE0 ? 0xA0 : 0x80, lead === 0xED ? 0x9F : 0xBF];
  if (lead >= 0xF0 && lead <= 0xF4) return [3, lead === 0xF0 ? 0x90 : 0x80, lead === 0xF4 ? 0x8F : 0xBF];
  return [0, 0, 0];
}

// Of what is no UTF-8, the longest beginning of a character becomes one replacement character.
function utf8Text(bytes) {
  const codes = [];
  for (let index = 0; index < bytes.length;) {
    const lead = bytes[index];
    index += 1;
    if (lead < 0x80) {
      codes.push(lead);
      continue;
    }
    let [missing, least, most] = sequenceOf(lead);
    let code = lead & (0x3F >> missing);
    let isWhole = missing > 0;
    while (missing > 0) {
      if (index >= bytes.length || bytes[index] < least || bytes[index] > most) {
        isWhole = false;
        break;
      }
      code = code << 6 | bytes[index] & 63;
      [least, most] = [0x80, 0xBF];
      index += 1;
      missing -= 1;
    }
    if (!isWhole) codes.push(0xFFFD);
    else if (code < 0x10000) codes.push(code);
    else codes.push(0xD800 + (code - 0x10000 >> 10), 0xDC00 + (code - 0x10000 & 0x3FF));
  }
  return textOf(codes);
}

// Lenient, as Node is: both alphabets, and what is in neither is skipped.
function base64Bytes(text) {
  const bytes = [];
  let bits = 0;
  let count = 0;
  for (const character of text) {
    if (character === '=') break;
    const value = BASE64_VALUES[character];
    if (value === undefined) continue;
    bits = (bits << 6 | value) & 0xFFFF;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push(bits >> count & 0xFF);
    }
  }
  return bytes;
}

function base64Text(bytes, alphabet, padding) {
  const parts = [];
  for (let index = 0; index < bytes.length; index += 3) {
    const left = bytes.length - index;
    const bits = bytes[index] << 16 | (left > 1 ? bytes[index + 1] : 0) << 8 | (left > 2 ? bytes[index + 2] : 0);
    parts.push(alphabet[bits >> 18], alphabet[bits >> 12 & 63]);
    parts.push(left > 1 ? alphabet[bits >> 6 & 63] : padding, left > 2 ? alphabet[bits & 63] : padding);
  }
  return parts.join('');
}

function hexBytes(text) {
  const bytes = [];
  for (let index = 0; index + 1 < text.length; index += 2) {
    const digits = text.slice(index, index + 2);
    if (!/^[0-9a-fA-F]{2}$/.test(digits)) break;
    bytes.push(parseInt(digits, 16));
  }
  return bytes;
}

const mapped = (bytes, change) => textOf(Array.prototype.map.call(bytes, change));
const codesOf = (text) => Array.from({ length: text.length }, (_, index) => text.charCodeAt(index));

const UTF8 = { read: utf8Bytes, write: utf8Text };
const LATIN1 = { read: (text) => codesOf(text).map((code) => code & 0xFF), write: (bytes) => textOf(bytes) };
const UTF16 = {
  read: (text) => codesOf(text).flatMap((code) => [code & 0xFF, code >> 8]),
  write(bytes) {
    const codes = [];
    for (let index = 0; index + 1 < bytes.length; index += 2) codes.push(bytes[index] | bytes[index + 1] << 8);
    return textOf(codes);
  },
};
const ENCODINGS = {
  utf8: UTF8,
  'utf-8': UTF8,
  latin1: LATIN1,
  binary: LATIN1,
  ascii: { read: LATIN1.read, write: (bytes) => mapped(bytes, (byte) => byte & 0x7F) },
  hex: { read: hexBytes, write: (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('') },
  base64: { read: base64Bytes, write: (bytes) => base64Text(bytes, BASE64, '=') },
  base64url: { read: base64Bytes, write: (bytes) => base64Text(bytes, BASE64_URL, '') },
  ucs2: UTF16,
  'ucs-2': UTF16,
  utf16le: UTF16,
  'utf-16le': UTF16,
};

function encodingOf(name) {
  const encoding = String(name === undefined || name === null || name === '' ? 'utf8' : name).toLowerCase();
  if (owns(ENCODINGS, encoding)) return ENCODINGS[encoding];
  throw new TypeError(`Unknown encoding: ${name}`);
}

// A function and no class: old templates call it without `new`.
function Buffer(value, encodingOrOffset, length) {
  if (typeof value === 'number') return Buffer.alloc(value);
  return Buffer.from(value, encodingOrOffset, length);
}

const asBuffer = (array) => Object.setPrototypeOf(array, Buffer.prototype);

Object.setPrototypeOf(Buffer, Uint8Array);
Buffer.prototype = Object.create(Uint8Array.prototype, {
  constructor: { value: Buffer, writable: true, configurable: true },
});

Object.assign(Buffer, {
  from(value, encodingOrOffset, length) {
    if (typeof value === 'string') return asBuffer(Uint8Array.from(encodingOf(encodingOrOffset).read(value)));
    if (value instanceof ArrayBuffer) return asBuffer(new Uint8Array(value, encodingOrOffset, length));
    if (value !== null && typeof value === 'object') {
      if (value.type === 'Buffer' && Array.isArray(value.data)) return asBuffer(Uint8Array.from(value.data));
      if (typeof value.length === 'number') return asBuffer(Uint8Array.from(value));
      if (typeof value.valueOf() === 'string') return Buffer.from(value.valueOf(), encodingOrOffset);
    }
    throw new TypeError('The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array ' +
      `or an Array-like Object. Received ${value === null ? 'null' : `type ${typeof value}`}`);
  },
  alloc(size, fill, encoding) {
    const buffer = asBuffer(new Uint8Array(size));
    if (typeof fill === 'number') return buffer.fill(fill);
    const pattern = fill === undefined ? [] : Buffer.from(fill, encoding);
    for (let index = 0; pattern.length > 0 && index < size; index += 1) buffer[index] = pattern[index % pattern.length];
    return buffer;
  },
  concat(list, size) {
    const bytes = list.flatMap((part) => Array.from(part));
    if (size === undefined) return Buffer.from(bytes);
    return Buffer.from(bytes.concat(Array(Math.max(0, size - bytes.length)).fill(0)).slice(0, size));
  },
  byteLength: (value, encoding) => (typeof value === 'string' ? Buffer.from(value, encoding).length : value.byteLength),
  isBuffer: (value) => value instanceof Buffer,
  isEncoding: (name) => typeof name === 'string' && owns(ENCODINGS, name.toLowerCase()),
  compare(left, right) {
    for (let index = 0; index < Math.min(left.length, right.length); index += 1) {
      if (left[index] !== right[index]) return left[index] < right[index] ? -1 : 1;
    }
    return Math.sign(left.length - right.length);
  },
});

const bufferMethods = {
  toString(encoding, start = 0, end = this.length) {
    return encodingOf(encoding).write(Uint8Array.prototype.slice.call(new Uint8Array(this), start, end));
  },
  toJSON() {
    return { type: 'Buffer', data: Array.from(this) };
  },
  equals(other) {
    return Buffer.compare(this, other) === 0;
  },
  compare(other) {
    return Buffer.compare(this, other);
  },
  slice(start, end) {
    return this.subarray(start, end);
  },
};
for (const name of Object.keys(bufferMethods)) {
  Object.defineProperty(Buffer.prototype, name, { value: bufferMethods[name], writable: true, configurable: true });
}
