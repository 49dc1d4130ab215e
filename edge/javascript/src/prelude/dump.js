// Values to YAML, as js-yaml 3 writes them: which quotes a text needs, where a long one is folded, which objects are
// named (`&ref_0`) because they occur twice.

const LEGACY_BOOLEANS = [
  'y', 'Y', 'yes', 'Yes', 'YES', 'on', 'On', 'ON', 'n', 'N', 'no', 'No', 'NO', 'off', 'Off', 'OFF',
];
// The characters that have an escape of their own in double quotes.
const SHORT_ESCAPES = {
  0x00: '\\0', 0x07: '\\a', 0x08: '\\b', 0x09: '\\t', 0x0A: '\\n', 0x0B: '\\v', 0x0C: '\\f', 0x0D: '\\r', 0x1B: '\\e',
  0x22: '\\"', 0x5C: '\\\\', 0x85: '\\N', 0xA0: '\\_', 0x2028: '\\L', 0x2029: '\\P',
};
// The longest text, as written, that may be a key without a question mark in front.
const IMPLICIT_KEY_LIMIT = 1024;

const lineFeed = (text) => text !== '' && text[0] === '\n';

// Whether a code unit may stand in a text without an escape. Halves of a surrogate pair may not, a tab neither.
function isPrintable(code) {
  return (code >= 0x20 && code <= 0x7E) ||
    (code >= 0xA1 && code <= 0xD7FF && code !== 0x2028 && code !== 0x2029) ||
    (code >= 0xE000 && code <= 0xFFFD && code !== 0xFEFF);
}

const isBlank = (text, index) => text[index] === ' ' || text[index] === '\t';
// What could be taken for YAML of its own, inside a plain scalar and at its beginning.
const FLOW_INDICATORS = ',[]{}';
const INDICATORS = "-?:,[]{}#&*!|=>'\"%@`";

function isPlainInside(text, index) {
  const character = text[index];
  if (!isPrintable(text.charCodeAt(index)) || FLOW_INDICATORS.includes(character) || character === ':') return false;
  // A number sign begins a comment, unless it is glued to a word.
  return character !== '#' || (index > 0 && isPrintable(text.charCodeAt(index - 1)) && !isBlank(text, index - 1));
}

function isPlainFirst(text) {
  return isPrintable(text.charCodeAt(0)) && !isBlank(text, 0) && !INDICATORS.includes(text[0]);
}

// A block scalar whose text begins with a space must say how deep it is indented.
const beginsIndented = (text) => /^\n* /.test(text);

function escapeForQuotes(text) {
  let escaped = '';
  for (const character of text) {
    const code = character.codePointAt(0);
    if (SHORT_ESCAPES[code]) escaped += SHORT_ESCAPES[code];
    else if (code < 0x10000 && isPrintable(code)) escaped += character;
    else escaped += hexEscape(code);
  }
  return escaped;
}

function hexEscape(code) {
  const digits = code.toString(16).toUpperCase();
  if (code <= 0xFF) return `\\x${digits.padStart(2, '0')}`;
  return code <= 0xFFFF ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`;
}

function indentLines(text, width) {
  const margin = ' '.repeat(width);
  return text.split('\n').map((line) => (line === '' ? line : margin + line)).join('\n');
}

// The line after `|` or `>`: the depth where it must be told, and what becomes of the last line breaks.
function blockHeader(text, indentPerLevel) {
  const depth = beginsIndented(text) ? String(indentPerLevel) : '';
  if (!text.endsWith('\n')) return `${depth}-\n`;
  return text === '\n' || text.endsWith('\n\n') ? `${depth}+\n` : `${depth}\n`;
}

const withoutLastBreak = (text) => (text.endsWith('\n') ? text.slice(0, -1) : text);

// Folds at single spaces, so that lines are at most `width` wide where that is possible. A line that begins with a
// space is never folded: it would be read as it stands.
function foldLine(line, width) {
  if (line === '' || line[0] === ' ') return line;
  const folded = [];
  let start = 0;
  let candidate = 0;
  for (let index = line.indexOf(' ', 0); index !== -1; index = line.indexOf(' ', index + 1)) {
    const isBreakable = index + 1 < line.length && line[index + 1] !== ' ';
    if (!isBreakable) continue;
    if (index - start > width) {
      const end = candidate > start ? candidate : index;
      folded.push(line.slice(start, end));
      start = end + 1;
    }
    candidate = index;
  }
  if (line.length - start > width && candidate > start) {
    folded.push(line.slice(start, candidate), line.slice(candidate + 1));
  } else {
    folded.push(line.slice(start));
  }
  return folded.join('\n');
}

// One line break between two folded lines would be read as a space, so it is doubled.
function foldText(text, width) {
  const lines = /^([^\n]*)((?:\n+[^\n]*)*)$/.exec(text);
  let folded = foldLine(lines[1], width);
  let wasIndented = text[0] === '\n' || text[0] === ' ';
  for (const [, breaks, line] of lines[2].matchAll(/(\n+)([^\n]*)/g)) {
    const isIndented = line[0] === ' ';
    folded += breaks + (!wasIndented && !isIndented && line !== '' ? '\n' : '') + foldLine(line, width);
    wasIndented = isIndented;
  }
  return folded;
}

class Writer {
  constructor(options) {
    this.schema = options.schema || DEFAULT_FULL_SCHEMA;
    this.indent = Math.max(1, options.indent || 2);
    this.noArrayIndent = options.noArrayIndent || false;
    this.skipInvalid = options.skipInvalid || false;
    this.flowLevel = options.flowLevel === undefined || options.flowLevel === null ? -1 : options.flowLevel;
    this.sortKeys = options.sortKeys || false;
    this.lineWidth = options.lineWidth || 80;
    this.noRefs = options.noRefs || false;
    this.noCompatMode = options.noCompatMode || false;
    this.condenseFlow = options.condenseFlow || false;
    this.styles = this.readStyles(options.styles);
    // Objects that occur more than once, in the order in which their second occurrence was met.
    this.repeated = [];
    this.named = new Set();
    // The tag and the text of what was written last.
    this.tag = null;
    this.text = '';
  }

  readStyles(given) {
    const styles = {};
    if (given === undefined || given === null) return styles;
    for (const key of Object.keys(given)) {
      const tag = key.startsWith('!!') ? STANDARD + key.slice(2) : key;
      const type = this.schema.compiledTypeMap.fallback[tag];
      const style = String(given[key]);
      styles[tag] = type && owns(type.styleAliases, style) ? type.styleAliases[style] : style;
    }
    return styles;
  }

  findRepeated(value, seen) {
    if (value === null || typeof value !== 'object') return;
    if (seen.has(value)) {
      if (!this.repeated.includes(value)) this.repeated.push(value);
      return;
    }
    seen.add(value);
    const members = Array.isArray(value) ? value : Object.keys(value).map((name) => value[name]);
    for (let index = 0; index < members.length; index += 1) this.findRepeated(members[index], seen);
  }

  // Whether a type claims the value; its text, or what stands for it, is then in `text`.
  represent(value, types, isExplicit) {
    for (const type of types) {
      if (!type.instanceOf && !type.predicate) continue;
      if (type.instanceOf && !(typeof value === 'object' && value instanceof type.instanceOf)) continue;
      if (type.predicate && !type.predicate(value)) continue;
      this.tag = isExplicit ? type.tag : '?';
      if (type.represent) this.text = this.representAs(type, value);
      return true;
    }
    return false;
  }

  representAs(type, value) {
    const style = this.styles[type.tag] || type.defaultStyle;
    if (typeof type.represent === 'function') return type.represent(value, style);
    if (owns(type.represent, style)) return type.represent[style](value, style);
    throw new YAMLException(`!<${type.tag}> tag resolver accepts not "${style}" style`);
  }

  // Writes a value at `level` to `text`; false where it has no text and invalid values are to be skipped. `isBlock`
  // allows lines of its own, `isCompact` lets the first of them follow on the line that is there.
  write(level, value, isBlock, isCompact, isKey) {
    this.tag = null;
    this.text = value;
    if (!this.represent(value, this.schema.compiledImplicit, false)) {
      this.represent(value, this.schema.compiledExplicit, true);
    }
    const content = this.text;
    const kind = classOf(content);
    const isCollection = kind === '[object Object]' || kind === '[object Array]';
    const name = isCollection ? this.repeated.indexOf(value) : -1;
    const isTagged = this.tag !== null && this.tag !== '?';
    const follows = isCompact && !isTagged && name < 0 && !(this.indent !== 2 && level > 0);
    if (name >= 0 && this.named.has(name)) {
      this.text = `*ref_${name}`;
    } else if (isCollection) {
      if (name >= 0) this.named.add(name);
      this.writeCollection(level, content, kind, isBlock && (this.flowLevel < 0 || this.flowLevel > level), follows, name);
    } else if (kind === '[object String]') {
      if (this.tag !== '?') this.text = this.scalar(content, level, isKey);
    } else if (this.skipInvalid) {
      return false;
    } else {
      throw new YAMLException(`unacceptable kind of an object to dump ${kind}`);
    }
    if (this.tag !== null && this.tag !== '?') this.text = `!<${this.tag}> ${this.text}`;
    return true;
  }

  writeCollection(level, content, kind, isBlock, follows, name) {
    const tag = this.tag;
    const isMapping = kind === '[object Object]';
    const hasLines = isBlock && (isMapping ? Object.keys(content).length : content.length) !== 0;
    let text;
    if (isMapping) {
      text = hasLines ? this.blockMapping(level, content, follows) : this.flowMapping(level, content);
    } else {
      const depth = this.noArrayIndent && level > 0 ? level - 1 : level;
      text = hasLines ? this.blockSequence(depth, content, follows) : this.flowSequence(depth, content);
    }
    const anchor = name < 0 ? '' : `&ref_${name}${hasLines ? '' : ' '}`;
    this.tag = tag;
    this.text = anchor + text;
  }

  newLine(level) {
    return `\n${' '.repeat(this.indent * level)}`;
  }

  flowSequence(level, list) {
    let text = '';
    for (let index = 0; index < list.length; index += 1) {
      if (!this.write(level, list[index], false, false)) continue;
      if (index !== 0) text += this.condenseFlow ? ',' : ', ';
      text += this.text;
    }
    return `[${text}]`;
  }

  blockSequence(level, list, follows) {
    let text = '';
    for (let index = 0; index < list.length; index += 1) {
      if (!this.write(level + 1, list[index], true, true)) continue;
      if (!follows || index !== 0) text += this.newLine(level);
      text += (lineFeed(this.text) ? '-' : '- ') + this.text;
    }
    return text || '[]';
  }

  flowMapping(level, object) {
    const quote = this.condenseFlow ? '"' : '';
    let text = '';
    Object.keys(object).forEach((name, index) => {
      const value = object[name];
      if (!this.write(level, name, false, false)) return;
      const key = (this.text.length > IMPLICIT_KEY_LIMIT ? '? ' : '') + quote + this.text + quote;
      if (!this.write(level, value, false, false)) return;
      text += `${index !== 0 ? ', ' : ''}${key}:${this.condenseFlow ? '' : ' '}${this.text}`;
    });
    return `{${text}}`;
  }

  blockMapping(level, object, follows) {
    let text = '';
    this.sorted(Object.keys(object)).forEach((name, index) => {
      const value = object[name];
      if (!this.write(level + 1, name, true, true, true)) return;
      const isExplicit = (this.tag !== null && this.tag !== '?') || this.text.length > IMPLICIT_KEY_LIMIT;
      let pair = !follows || index !== 0 ? this.newLine(level) : '';
      if (isExplicit) pair += lineFeed(this.text) ? '?' : '? ';
      pair += this.text;
      if (isExplicit) pair += this.newLine(level);
      if (!this.write(level + 1, value, true, isExplicit)) return;
      text += pair + (lineFeed(this.text) ? ':' : ': ') + this.text;
    });
    return text || '{}';
  }

  sorted(names) {
    if (this.sortKeys === true) return names.sort();
    if (typeof this.sortKeys === 'function') return names.sort(this.sortKeys);
    if (this.sortKeys) throw new YAMLException('sortKeys must be a boolean or a function');
    return names;
  }

  scalar(text, level, isKey) {
    if (text.length === 0) return "''";
    if (!this.noCompatMode && LEGACY_BOOLEANS.includes(text)) return `'${text}'`;
    const indent = this.indent * Math.max(1, level);
    const width = this.lineWidth === -1
      ? Infinity : Math.max(Math.min(this.lineWidth, 40), this.lineWidth - indent);
    const isOneLine = isKey || (this.flowLevel > -1 && level >= this.flowLevel);
    switch (this.scalarStyle(text, isOneLine, width)) {
      case 'plain': return text;
      case 'single': return `'${text.replace(/'/g, "''")}'`;
      case 'literal': return `|${blockHeader(text, this.indent)}${withoutLastBreak(indentLines(text, indent))}`;
      case 'folded':
        return `>${blockHeader(text, this.indent)}${withoutLastBreak(indentLines(foldText(text, width), indent))}`;
      default: return `"${escapeForQuotes(text)}"`;
    }
  }

  scalarStyle(text, isOneLine, width) {
    let isPlain = isPlainFirst(text) && !isBlank(text, text.length - 1);
    for (let index = 0; index < text.length; index += 1) {
      const isBreak = text[index] === '\n' && !isOneLine;
      if (!isBreak && !isPrintable(text.charCodeAt(index))) return 'double';
      isPlain = isPlain && isPlainInside(text, index);
    }
    const lines = isOneLine ? [] : text.split('\n');
    const isFoldable = lines.some((line) => line.length > width && line[0] !== ' ');
    if (lines.length < 2 && !isFoldable) return isPlain && !this.looksTyped(text) ? 'plain' : 'single';
    if (this.indent > 9 && beginsIndented(text)) return 'double';
    return isFoldable ? 'folded' : 'literal';
  }

  // Whether the text would be read as something other than a text.
  looksTyped(text) {
    return this.schema.compiledImplicit.some((type) => type.resolve(text));
  }
}

function dump(value, options) {
  const writer = new Writer(options || {});
  if (!writer.noRefs) writer.findRepeated(value, new Set());
  return writer.write(0, value, true, true) ? `${writer.text}\n` : '';
}

const safeDump = (value, options) => dump(value, { schema: DEFAULT_SAFE_SCHEMA, ...options });
