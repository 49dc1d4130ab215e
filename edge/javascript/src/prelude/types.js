// YAML's types and schemas, as js-yaml 3 has them: how a scalar is recognised, what it becomes, and how a value is
// written back.

const STANDARD = 'tag:yaml.org,2002:';
const classOf = (value) => Object.prototype.toString.call(value);
const owns = (object, name) => Object.prototype.hasOwnProperty.call(object, name);

class YAMLException extends Error {
  constructor(reason, mark) {
    super();
    const position = mark ? ` ${mark.toString()}` : '';
    this.name = 'YAMLException';
    this.reason = reason;
    this.mark = mark;
    Object.defineProperty(this, 'message', {
      value: (reason || '(unknown reason)') + position, enumerable: true, writable: true, configurable: true,
    });
  }

  toString(isCompact) {
    const position = !isCompact && this.mark ? ` ${this.mark.toString()}` : '';
    return `${this.name}: ${this.reason || '(unknown reason)'}${position}`;
  }
}

class Type {
  constructor(tag, options) {
    const {
      kind = null, resolve = null, construct = null, instanceOf = null, predicate = null, represent = null,
      defaultStyle = null, styleAliases = null,
    } = options || {};
    if (![null, 'scalar', 'sequence', 'mapping'].includes(kind)) {
      throw new YAMLException(`Unknown kind "${kind}" is specified for "${tag}" YAML type.`);
    }
    this.tag = tag;
    this.kind = kind;
    this.resolve = resolve || (() => true);
    this.construct = construct || ((data) => data);
    this.instanceOf = instanceOf;
    this.predicate = predicate;
    this.represent = represent;
    this.defaultStyle = defaultStyle;
    this.styleAliases = {};
    for (const style of Object.keys(styleAliases || {})) {
      for (const alias of styleAliases[style]) this.styleAliases[String(alias)] = style;
    }
  }
}

// A schema's own types come after those that it includes; of two with one tag and kind the later one counts.
function gather(schema, list, gathered) {
  for (const included of schema.include) gather(included, list, gathered);
  for (const type of schema[list]) {
    const before = gathered.findIndex((other) => other.tag === type.tag && other.kind === type.kind);
    if (before >= 0) gathered.splice(before, 1);
    gathered.push(type);
  }
  return gathered;
}

class Schema {
  constructor({ include = [], implicit = [], explicit = [] } = {}) {
    this.include = include;
    this.implicit = implicit;
    this.explicit = explicit;
    this.compiledImplicit = gather(this, 'implicit', []);
    this.compiledExplicit = gather(this, 'explicit', []);
    this.compiledTypeMap = { scalar: {}, sequence: {}, mapping: {}, fallback: {} };
    for (const type of [...this.compiledImplicit, ...this.compiledExplicit]) {
      this.compiledTypeMap[type.kind || 'fallback'][type.tag] = type;
      this.compiledTypeMap.fallback[type.tag] = type;
    }
  }

  static create(...given) {
    const types = given.pop();
    const include = given.length > 0 ? given[0] : Schema.DEFAULT;
    return new Schema({ include: [].concat(include), explicit: [].concat(types) });
  }
}

// --- Scalars that are recognised by how they are written

const oneOf = (words) => (data) => data !== null && words.includes(data);

const nullType = new Type(`${STANDARD}null`, {
  kind: 'scalar',
  resolve: (data) => data === null || ['~', 'null', 'Null', 'NULL'].includes(data),
  construct: () => null,
  predicate: (value) => value === null,
  represent: { canonical: () => '~', lowercase: () => 'null', uppercase: () => 'NULL', camelcase: () => 'Null' },
  defaultStyle: 'lowercase',
});

const boolType = new Type(`${STANDARD}bool`, {
  kind: 'scalar',
  resolve: oneOf(['true', 'True', 'TRUE', 'false', 'False', 'FALSE']),
  construct: (data) => data.toLowerCase() === 'true',
  predicate: (value) => classOf(value) === '[object Boolean]',
  represent: {
    lowercase: (value) => (value ? 'true' : 'false'),
    uppercase: (value) => (value ? 'TRUE' : 'FALSE'),
    camelcase: (value) => (value ? 'True' : 'False'),
  },
  defaultStyle: 'lowercase',
});

// Binary, hexadecimal, octal with a leading zero, decimal, and base 60 (`1:30`); underscores anywhere but in front of
// a decimal and at the end.
const INTEGER = new RegExp(
  '^[-+]?(?:0' +
  '|0b[01_]*[01]' +
  '|0x[0-9a-fA-F_]*[0-9a-fA-F]' +
  '|0[0-7_]*[0-7]' +
  '|[1-9](?:[0-9_]*[0-9])?(?::[0-5]?[0-9])*' +
  ')$',
);
const FLOAT = new RegExp(
  '^(?:[-+]?(?:0|[1-9][0-9_]*)(?:\\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?' +
  '|\\.[0-9_]+(?:[eE][-+]?[0-9]+)?' +
  '|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\\.[0-9_]*' +
  '|[-+]?\\.(?:inf|Inf|INF)' +
  '|\\.(?:nan|NaN|NAN))$',
);

const isNegativeZero = (value) => value === 0 && 1 / value < 0;
const isNumber = (value) => classOf(value) === '[object Number]';
const base60 = (text, parse) => text.split(':').reduce((sum, digits) => sum * 60 + parse(digits, 10), 0);
const unsigned = (text) => (text[0] === '-' || text[0] === '+' ? text.slice(1) : text);

function parseInteger(data) {
  const text = data.replace(/_/g, '');
  const sign = text[0] === '-' ? -1 : 1;
  const digits = unsigned(text);
  if (digits === '0') return 0;
  if (digits[0] === '0' && digits[1] === 'b') return sign * parseInt(digits.slice(2), 2);
  if (digits[0] === '0' && digits[1] === 'x') return sign * parseInt(digits, 16);
  if (digits[0] === '0') return sign * parseInt(digits, 8);
  return sign * (digits.includes(':') ? base60(digits, parseInt) : parseInt(digits, 10));
}

const inBase = (base, prefix, tidy = (digits) => digits) => (value) => (value < 0 ? '-' : '') +
  prefix + tidy(value.toString(base).replace(/^-/, ''));

const intType = new Type(`${STANDARD}int`, {
  kind: 'scalar',
  resolve: (data) => data !== null && INTEGER.test(data),
  construct: parseInteger,
  predicate: (value) => isNumber(value) && value % 1 === 0 && !isNegativeZero(value),
  represent: {
    binary: inBase(2, '0b'),
    octal: inBase(8, '0'),
    decimal: (value) => value.toString(10),
    hexadecimal: inBase(16, '0x', (digits) => digits.toUpperCase()),
  },
  defaultStyle: 'decimal',
  styleAliases: { binary: [2, 'bin'], octal: [8, 'oct'], decimal: [10, 'dec'], hexadecimal: [16, 'hex'] },
});

function parseFloating(data) {
  const text = data.replace(/_/g, '').toLowerCase();
  const sign = text[0] === '-' ? -1 : 1;
  const digits = unsigned(text);
  if (digits === '.inf') return sign * Infinity;
  if (digits === '.nan') return NaN;
  return sign * (digits.includes(':') ? base60(digits, parseFloat) : parseFloat(digits));
}

function representFloat(value, style) {
  const cased = (word) => (style === 'uppercase' ? word.toUpperCase() : word);
  if (isNaN(value)) return style === 'camelcase' ? '.NaN' : cased('.nan');
  if (value === Infinity || value === -Infinity) {
    const word = style === 'camelcase' ? '.Inf' : cased('.inf');
    return value < 0 ? `-${word}` : word;
  }
  if (isNegativeZero(value)) return '-0.0';
  // YAML 1.1 takes `1e-7` for a text: it wants a dot.
  const text = value.toString(10);
  return /^[-+]?[0-9]+e/.test(text) ? text.replace('e', '.e') : text;
}

const floatType = new Type(`${STANDARD}float`, {
  kind: 'scalar',
  resolve: (data) => data !== null && FLOAT.test(data) && data[data.length - 1] !== '_',
  construct: parseFloating,
  predicate: (value) => isNumber(value) && (value % 1 !== 0 || isNegativeZero(value)),
  represent: representFloat,
  defaultStyle: 'lowercase',
});

const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;
const TIME = new RegExp(
  '^(\\d{4})-(\\d\\d?)-(\\d\\d?)(?:[Tt]|[ \\t]+)(\\d\\d?):(\\d\\d):(\\d\\d)(?:\\.(\\d*))?' +
  '(?:[ \\t]*(Z|([-+])(\\d\\d?)(?::(\\d\\d))?))?$',
);

function parseTimestamp(data) {
  const match = DATE.exec(data) || TIME.exec(data);
  const [year, month, day] = match.slice(1, 4).map(Number);
  if (match[4] === undefined) return new Date(Date.UTC(year, month - 1, day));
  const [hour, minute, second] = match.slice(4, 7).map(Number);
  const fraction = match[7] ? Number(match[7].slice(0, 3).padEnd(3, '0')) : 0;
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second, fraction));
  if (match[9]) {
    const offset = (Number(match[10]) * 60 + Number(match[11] || 0)) * 60000;
    date.setTime(date.getTime() + (match[9] === '-' ? offset : -offset));
  }
  return date;
}

const timestampType = new Type(`${STANDARD}timestamp`, {
  kind: 'scalar',
  resolve: (data) => data !== null && (DATE.test(data) || TIME.test(data)),
  construct: parseTimestamp,
  instanceOf: Date,
  represent: (value) => value.toISOString(),
});

const mergeType = new Type(`${STANDARD}merge`, {
  kind: 'scalar',
  resolve: (data) => data === '<<' || data === null,
});

// --- Types that a tag names

const stringType = new Type(`${STANDARD}str`, { kind: 'scalar', construct: (data) => (data === null ? '' : data) });
const sequenceType = new Type(`${STANDARD}seq`, { kind: 'sequence', construct: (data) => (data === null ? [] : data) });
const mappingType = new Type(`${STANDARD}map`, { kind: 'mapping', construct: (data) => (data === null ? {} : data) });

const binaryType = new Type(`${STANDARD}binary`, {
  kind: 'scalar',
  resolve(data) {
    if (data === null || /[^A-Za-z0-9+/=\r\n]/.test(data)) return false;
    return data.replace(/[\r\n]/g, '').length * 6 % 8 === 0;
  },
  construct: (data) => Buffer.from(data.replace(/[\r\n=]/g, ''), 'base64'),
  predicate: (value) => Buffer.isBuffer(value),
  represent: (value) => value.toString('base64'),
});

const isPlainObject = (value) => classOf(value) === '[object Object]';

const orderedMapType = new Type(`${STANDARD}omap`, {
  kind: 'sequence',
  resolve(data) {
    const seen = new Set();
    return data === null || data.every((pair) => {
      if (!isPlainObject(pair) || Object.keys(pair).length !== 1) return false;
      const [name] = Object.keys(pair);
      return !seen.has(name) && Boolean(seen.add(name));
    });
  },
  construct: (data) => (data === null ? [] : data),
});

const pairsType = new Type(`${STANDARD}pairs`, {
  kind: 'sequence',
  resolve: (data) => data === null || data.every((pair) => isPlainObject(pair) && Object.keys(pair).length === 1),
  construct: (data) => (data === null ? [] : data.map((pair) => Object.entries(pair)[0])),
});

const setType = new Type(`${STANDARD}set`, {
  kind: 'mapping',
  resolve: (data) => data === null || Object.keys(data).every((name) => data[name] === null),
  construct: (data) => (data === null ? {} : data),
});

// --- Types of JavaScript alone, which only `dump` and `load` know; a function is written, and never read: that would
// be a program inside a document.

const undefinedType = new Type(`${STANDARD}js/undefined`, {
  kind: 'scalar',
  construct: () => undefined,
  predicate: (value) => value === undefined,
  represent: () => '',
});

const REGULAR_EXPRESSION = /^\/(.*)\/([gim]*)$/;
const hasRepeats = (letters) => new Set(letters).size !== letters.length;

const regexpType = new Type(`${STANDARD}js/regexp`, {
  kind: 'scalar',
  resolve(data) {
    if (data === null || data.length === 0) return false;
    if (data[0] !== '/') return true;
    const match = /\/([gim]*)$/.exec(data);
    return match !== null && match[1].length <= 3 && data[data.length - match[1].length - 1] === '/';
  },
  construct(data) {
    const match = data[0] === '/' ? REGULAR_EXPRESSION.exec(data) : null;
    return match ? new RegExp(match[1], match[2]) : new RegExp(data, '');
  },
  predicate: (value) => classOf(value) === '[object RegExp]',
  represent: (value) => `/${value.source}/${value.global ? 'g' : ''}${value.multiline ? 'm' : ''}` +
    `${value.ignoreCase ? 'i' : ''}`,
});

const functionType = new Type(`${STANDARD}js/function`, {
  kind: 'scalar',
  resolve: () => false,
  predicate: (value) => classOf(value) === '[object Function]',
  represent: (value) => value.toString(),
});

// --- Schemas

const FAILSAFE_SCHEMA = new Schema({ explicit: [stringType, sequenceType, mappingType] });
const JSON_SCHEMA = new Schema({ include: [FAILSAFE_SCHEMA], implicit: [nullType, boolType, intType, floatType] });
const CORE_SCHEMA = new Schema({ include: [JSON_SCHEMA] });
const DEFAULT_SAFE_SCHEMA = new Schema({
  include: [CORE_SCHEMA],
  implicit: [timestampType, mergeType],
  explicit: [binaryType, orderedMapType, pairsType, setType],
});
const DEFAULT_FULL_SCHEMA = new Schema({
  include: [DEFAULT_SAFE_SCHEMA],
  explicit: [undefinedType, regexpType, functionType],
});
Schema.DEFAULT = DEFAULT_FULL_SCHEMA;
