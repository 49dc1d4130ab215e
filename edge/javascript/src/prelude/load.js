// YAML to values, as js-yaml 3 reads it: what it forgives and what it refuses, with its words and its positions.

// Where a node stands: what may follow it, and whether it may have lines of its own.
const FLOW_INSIDE = 1;
const FLOW_OUTSIDE = 2;
const BLOCK_INSIDE = 3;
const BLOCK_OUTSIDE = 4;

// What ends the text: a character that no document may hold.
const END = '\0';
const CONTROL = /[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x84\x86-\x9F\uFFFE\uFFFF]/;
const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?:[^\uD800-\uDBFF]|^)[\uDC00-\uDFFF]/;
const TAG_HANDLE = /^(?:!|!!|![a-z-]+!)$/i;
const TAG_URI = /^(?:!|[^,[\]{}])(?:%[0-9a-f]{2}|[0-9a-z\-#;/?:@&=+$,_.!~*'()[\]])*$/i;
const ESCAPES = {
  0: '\0', a: '\x07', b: '\b', t: '\t', '\t': '\t', n: '\n', v: '\v', f: '\f', r: '\r', e: '\x1B', ' ': ' ', '"': '"',
  '/': '/', '\\': '\\', N: '\x85', _: '\xA0', L: '\u2028', P: '\u2029',
};
const HEX_ESCAPES = { x: 2, u: 4, U: 8 };
// How deep documents may be nested. The original ends where its stack does.
const DEPTH_LIMIT = 1000;
// How much of the line is shown around a mistake, and how far it is indented.
const SNIPPET_WIDTH = 75;
const SNIPPET_INDENT = 4;

const isSpace = (character) => character === ' ' || character === '\t';
const isBreak = (character) => character === '\n' || character === '\r';
const isGap = (character) => isSpace(character) || isBreak(character);
const isFlowIndicator = (character) => character !== '' && ',[]{}'.includes(character);
// Line breaks between two pieces of a scalar: one is a space, of more the first is dropped.
const foldedBreaks = (count) => (count === 1 ? ' ' : '\n'.repeat(Math.max(0, count - 1)));

class Mark {
  constructor(name, buffer, position, line, column) {
    this.name = name;
    this.buffer = buffer;
    this.position = position;
    this.line = line;
    this.column = column;
  }

  getSnippet(indent = SNIPPET_INDENT, width = SNIPPET_WIDTH) {
    if (!this.buffer) return null;
    const endsLine = (index) => '\x00\r\n\x85\u2028\u2029'.includes(this.buffer.charAt(index));
    let start = this.position;
    let before = '';
    while (start > 0 && !endsLine(start - 1)) {
      start -= 1;
      if (this.position - start > width / 2 - 1) {
        before = ' ... ';
        start += 5;
        break;
      }
    }
    let end = this.position;
    let after = '';
    while (end < this.buffer.length && !endsLine(end)) {
      end += 1;
      if (end - this.position > width / 2 - 1) {
        after = ' ... ';
        end -= 5;
        break;
      }
    }
    const arrow = ' '.repeat(indent + this.position - start + before.length);
    return `${' '.repeat(indent)}${before}${this.buffer.slice(start, end)}${after}\n${arrow}^`;
  }

  toString(isCompact) {
    const name = this.name ? `in "${this.name}" ` : '';
    const snippet = isCompact ? '' : this.getSnippet();
    return `${name}at line ${this.line + 1}, column ${this.column + 1}${snippet ? `:\n${snippet}` : ''}`;
  }
}

class Reader {
  constructor(input, options) {
    this.input = input;
    this.length = input.length - END.length;
    this.filename = options.filename || null;
    this.schema = options.schema || DEFAULT_FULL_SCHEMA;
    this.onWarning = options.onWarning || null;
    this.json = options.json || false;
    this.position = 0;
    this.line = 0;
    this.lineStart = 0;
    this.lineIndent = 0;
    this.depth = 0;
    this.documents = [];
    this.version = null;
    this.tagPrefixes = {};
    this.anchors = {};
    // What was read last.
    this.tag = null;
    this.anchor = null;
    this.kind = null;
    this.result = null;
  }

  get here() {
    return this.input.charAt(this.position);
  }

  get next() {
    return this.input.charAt(this.position + 1);
  }

  error(reason) {
    const column = this.position - this.lineStart;
    return new YAMLException(reason, new Mark(this.filename, this.input, this.position, this.line, column));
  }

  warn(reason) {
    if (this.onWarning) this.onWarning.call(null, this.error(reason));
  }

  // The text from `start` to `end`, which must be fit for a document: in quotes everything but control characters.
  piece(start, end, isQuoted) {
    if (start >= end) return '';
    const text = this.input.slice(start, end);
    if (isQuoted) {
      if (/[\x00-\x08\x0A-\x1F]/.test(text)) throw this.error('expected valid JSON character');
    } else if (CONTROL.test(text) || LONE_SURROGATE.test(text)) {
      throw this.error('the stream contains non-printable characters');
    }
    return text;
  }

  skipWhile(isWanted) {
    const start = this.position;
    while (this.here !== END && isWanted(this.here)) this.position += 1;
    return this.input.slice(start, this.position);
  }

  readLineBreak() {
    if (this.here === '\n') {
      this.position += 1;
    } else if (this.here === '\r') {
      this.position += this.next === '\n' ? 2 : 1;
    } else {
      throw this.error('a line break is expected');
    }
    this.line += 1;
    this.lineStart = this.position;
  }

  // Skips spaces, comments and line breaks, and gives the number of breaks; `lineIndent` is then that of the last line.
  skipGap(allowsComments, leastIndent) {
    let breaks = 0;
    while (this.here !== END) {
      this.skipWhile(isSpace);
      if (allowsComments && this.here === '#') this.skipWhile((character) => !isBreak(character));
      if (!isBreak(this.here)) break;
      this.readLineBreak();
      breaks += 1;
      this.lineIndent = this.skipWhile((character) => character === ' ').length;
    }
    if (leastIndent !== -1 && breaks !== 0 && this.lineIndent < leastIndent) this.warn('deficient indentation');
    return breaks;
  }

  // `---` or `...` at the beginning of a line.
  isAtSeparator() {
    if (this.position !== this.lineStart) return false;
    const mark = this.input.substr(this.position, 3);
    const after = this.input.charAt(this.position + 3);
    return (mark === '---' || mark === '...') && (after === END || isGap(after));
  }

  // --- Documents

  readAll() {
    this.lineIndent += this.skipWhile((character) => character === ' ').length;
    while (this.position < this.length - 1) this.readDocument();
    return this.documents;
  }

  readDocument() {
    this.version = null;
    this.tagPrefixes = {};
    this.anchors = {};
    const hasDirectives = this.readDirectives();
    this.skipGap(true, -1);
    if (this.lineIndent === 0 && this.input.substr(this.position, 3) === '---') {
      this.position += 3;
      this.skipGap(true, -1);
    } else if (hasDirectives) {
      throw this.error('directives end mark is expected');
    }
    this.readNode(this.lineIndent - 1, BLOCK_OUTSIDE, false, true);
    this.skipGap(true, -1);
    this.documents.push(this.result);
    if (this.isAtSeparator()) {
      if (this.here === '.') {
        this.position += 3;
        this.skipGap(true, -1);
      }
    } else if (this.position < this.length - 1) {
      throw this.error('end of the stream or a document separator is expected');
    }
  }

  readDirectives() {
    let hasAny = false;
    while (this.here !== END) {
      this.skipGap(true, -1);
      if (this.lineIndent > 0 || this.here !== '%') break;
      hasAny = true;
      this.position += 1;
      this.readDirective();
    }
    return hasAny;
  }

  readDirective() {
    const name = this.skipWhile((character) => !isGap(character));
    if (name === '') throw this.error('directive name must not be less than one character in length');
    const words = [];
    while (this.here !== END) {
      this.skipWhile(isSpace);
      if (this.here === '#') this.skipWhile((character) => !isBreak(character));
      if (this.here === END || isBreak(this.here)) break;
      words.push(this.skipWhile((character) => !isGap(character)));
    }
    if (this.here !== END) this.readLineBreak();
    if (name === 'YAML') this.applyVersion(words);
    else if (name === 'TAG') this.applyTagPrefix(words);
    else this.warn(`unknown document directive "${name}"`);
  }

  applyVersion(words) {
    if (this.version !== null) throw this.error('duplication of %YAML directive');
    if (words.length !== 1) throw this.error('YAML directive accepts exactly one argument');
    const match = /^([0-9]+)\.([0-9]+)$/.exec(words[0]);
    if (match === null) throw this.error('ill-formed argument of the YAML directive');
    if (parseInt(match[1], 10) !== 1) throw this.error('unacceptable YAML version of the document');
    [this.version] = words;
    if (match[2] !== '1' && match[2] !== '2') this.warn('unsupported YAML version of the document');
  }

  applyTagPrefix(words) {
    if (words.length !== 2) throw this.error('TAG directive accepts exactly two arguments');
    const [handle, prefix] = words;
    if (!TAG_HANDLE.test(handle)) {
      throw this.error('ill-formed tag handle (first argument) of the TAG directive');
    }
    if (owns(this.tagPrefixes, handle)) {
      throw this.error(`there is a previously declared suffix for "${handle}" tag handle`);
    }
    if (!TAG_URI.test(prefix)) {
      throw this.error('ill-formed tag prefix (second argument) of the TAG directive');
    }
    this.tagPrefixes[handle] = prefix;
  }

  // --- Nodes

  // Reads one node, if there is one: its properties, its content, and what its tag makes of it.
  readNode(parentIndent, context, seeksLines, allowsCompact) {
    this.depth += 1;
    if (this.depth > DEPTH_LIMIT) throw this.error('the document is nested too deeply');
    this.tag = null;
    this.anchor = null;
    this.kind = null;
    this.result = null;
    const isBlock = context === BLOCK_OUTSIDE || context === BLOCK_INSIDE;
    let isOnNewLine = seeksLines && this.skipGap(true, -1) !== 0;
    let indented = isOnNewLine ? Math.sign(this.lineIndent - parentIndent) : 1;
    let allowsCollections = isBlock;
    while (indented === 1 && (this.readTag() || this.readAnchor())) {
      const isBroken = this.skipGap(true, -1) !== 0;
      isOnNewLine = isOnNewLine || isBroken;
      allowsCollections = isBroken && isBlock;
      if (isBroken) indented = Math.sign(this.lineIndent - parentIndent);
    }
    allowsCollections = allowsCollections && (isOnNewLine || allowsCompact);
    let hasContent = false;
    if (indented === 1) {
      hasContent = this.readContent(parentIndent, context, isBlock, allowsCollections);
    } else if (indented === 0 && context === BLOCK_OUTSIDE && allowsCollections) {
      // A list may stand as far to the left as the key that it belongs to.
      hasContent = this.readBlockSequence(this.position - this.lineStart);
    }
    this.resolveTag();
    this.depth -= 1;
    return this.tag !== null || this.anchor !== null || hasContent;
  }

  readContent(parentIndent, context, isBlock, allowsCollections) {
    const isFlow = context === FLOW_INSIDE || context === FLOW_OUTSIDE;
    const flowIndent = isFlow ? parentIndent : parentIndent + 1;
    const blockIndent = this.position - this.lineStart;
    if (allowsCollections && (this.readBlockSequence(blockIndent) || this.readBlockMapping(blockIndent, flowIndent))) {
      return true;
    }
    if (this.readFlowCollection(flowIndent)) return true;
    let hasContent = (isBlock && this.readBlockScalar(flowIndent)) || this.readSingleQuoted(flowIndent) ||
      this.readDoubleQuoted(flowIndent);
    if (!hasContent && this.readAlias()) {
      hasContent = true;
      if (this.tag !== null || this.anchor !== null) throw this.error('alias node should not have any properties');
    } else if (!hasContent && this.readPlain(flowIndent, context === FLOW_INSIDE)) {
      hasContent = true;
      if (this.tag === null) this.tag = '?';
    }
    this.name(this.result);
    return hasContent;
  }

  // Lets aliases find a value.
  name(value) {
    if (this.anchor !== null) this.anchors[this.anchor] = value;
  }

  resolveTag() {
    if (this.tag === null || this.tag === '!') return;
    if (this.tag === '?') {
      if (this.result !== null && this.kind !== 'scalar') {
        throw this.error(`unacceptable node kind for !<?> tag; it should be "scalar", not "${this.kind}"`);
      }
      const type = this.schema.compiledImplicit.find((candidate) => candidate.resolve(this.result));
      if (type) {
        this.result = type.construct(this.result);
        this.tag = type.tag;
        this.name(this.result);
      }
      return;
    }
    const types = this.schema.compiledTypeMap[this.kind || 'fallback'];
    if (!owns(types, this.tag)) throw this.error(`unknown tag !<${this.tag}>`);
    const type = types[this.tag];
    if (this.result !== null && type.kind !== this.kind) {
      throw this.error(`unacceptable node kind for !<${this.tag}> tag; it should be "${type.kind}", not "${this.kind}"`);
    }
    if (!type.resolve(this.result)) throw this.error(`cannot resolve a node with !<${this.tag}> explicit tag`);
    this.result = type.construct(this.result);
    this.name(this.result);
  }

  // --- Properties and aliases

  readTag() {
    if (this.here !== '!') return false;
    if (this.tag !== null) throw this.error('duplication of a tag property');
    this.position += 1;
    const isVerbatim = this.here === '<';
    const [handle, name] = isVerbatim ? [null, this.readVerbatimTag()] : this.readShortTag();
    if (name !== '' && !TAG_URI.test(name)) throw this.error(`tag name cannot contain such characters: ${name}`);
    if (isVerbatim) this.tag = name;
    else if (owns(this.tagPrefixes, handle)) this.tag = this.tagPrefixes[handle] + name;
    else if (handle === '!') this.tag = `!${name}`;
    else if (handle === '!!') this.tag = STANDARD + name;
    else throw this.error(`undeclared tag handle "${handle}"`);
    return true;
  }

  readVerbatimTag() {
    this.position += 1;
    const name = this.skipWhile((character) => character !== '>');
    if (this.position >= this.length) throw this.error('unexpected end of the stream within a verbatim tag');
    this.position += 1;
    return name;
  }

  readShortTag() {
    let handle = '!';
    let start = this.position;
    let isNamed = this.here === '!';
    if (isNamed) {
      handle = '!!';
      this.position += 1;
      start = this.position;
    }
    for (; this.here !== END && !isGap(this.here); this.position += 1) {
      if (this.here !== '!') continue;
      if (isNamed) throw this.error('tag suffix cannot contain exclamation marks');
      handle = this.input.slice(start - 1, this.position + 1);
      if (!TAG_HANDLE.test(handle)) throw this.error('named tag handle cannot contain such characters');
      isNamed = true;
      start = this.position + 1;
    }
    const name = this.input.slice(start, this.position);
    if (/[,[\]{}]/.test(name)) throw this.error('tag suffix cannot contain flow indicator characters');
    return [handle, name];
  }

  readName(words) {
    this.position += 1;
    const name = this.skipWhile((character) => !isGap(character) && !isFlowIndicator(character));
    if (name === '') throw this.error(`name of an ${words} node must contain at least one character`);
    return name;
  }

  readAnchor() {
    if (this.here !== '&') return false;
    if (this.anchor !== null) throw this.error('duplication of an anchor property');
    this.anchor = this.readName('anchor');
    return true;
  }

  readAlias() {
    if (this.here !== '*') return false;
    const name = this.readName('alias');
    if (!owns(this.anchors, name)) throw this.error(`unidentified alias "${name}"`);
    this.result = this.anchors[name];
    this.skipGap(true, -1);
    return true;
  }

  // --- Scalars

  canBeginPlain(isInFlow) {
    if (this.here === END || isGap(this.here) || isFlowIndicator(this.here)) return false;
    if ('#&*!|>\'"%@`'.includes(this.here)) return false;
    if (this.here !== '?' && this.here !== '-') return true;
    return !isGap(this.next) && !(isInFlow && isFlowIndicator(this.next));
  }

  endsPlain(isInFlow) {
    const { here, next } = this;
    if (here === ':') return isGap(next) || (isInFlow && isFlowIndicator(next));
    if (here === '#') return isGap(this.input.charAt(this.position - 1));
    return this.isAtSeparator() || (isInFlow && isFlowIndicator(here));
  }

  readPlain(leastIndent, isInFlow) {
    if (!this.canBeginPlain(isInFlow)) return false;
    const before = [this.kind, this.result];
    this.kind = 'scalar';
    this.result = '';
    let start = this.position;
    let end = start;
    while (this.here !== END && !this.endsPlain(isInFlow)) {
      if (isBreak(this.here)) {
        const { line, lineStart, lineIndent } = this;
        const breaks = this.skipGap(false, -1);
        if (this.lineIndent < leastIndent) {
          Object.assign(this, { position: end, line, lineStart, lineIndent });
          break;
        }
        // What follows may still end the scalar; then its line breaks are no part of it.
        if (this.here === END || this.endsPlain(isInFlow)) break;
        this.result += this.piece(start, end, false) + foldedBreaks(breaks);
        start = this.position;
        end = start;
      }
      this.position += 1;
      if (!isSpace(this.input.charAt(this.position - 1))) end = this.position;
    }
    this.result += this.piece(start, end, false);
    if (this.result !== '') return true;
    [this.kind, this.result] = before;
    return false;
  }

  readSingleQuoted(leastIndent) {
    if (this.here !== "'") return false;
    this.kind = 'scalar';
    this.result = '';
    this.position += 1;
    let start = this.position;
    while (this.here !== END) {
      if (this.here === "'") {
        this.result += this.piece(start, this.position, true);
        this.position += 1;
        if (this.here !== "'") return true;
        start = this.position;
        this.position += 1;
      } else {
        start = this.stepInQuotes(start, leastIndent, 'single');
      }
    }
    throw this.error('unexpected end of the stream within a single quoted scalar');
  }

  readDoubleQuoted(leastIndent) {
    if (this.here !== '"') return false;
    this.kind = 'scalar';
    this.result = '';
    this.position += 1;
    let start = this.position;
    while (this.here !== END) {
      if (this.here === '"') {
        this.result += this.piece(start, this.position, true);
        this.position += 1;
        return true;
      }
      if (this.here === '\\') {
        this.result += this.piece(start, this.position, true);
        this.position += 1;
        this.readEscape(leastIndent);
        start = this.position;
      } else {
        start = this.stepInQuotes(start, leastIndent, 'double');
      }
    }
    throw this.error('unexpected end of the stream within a double quoted scalar');
  }

  // One character or one run of line breaks further; gives where the piece that is not yet taken begins.
  stepInQuotes(start, leastIndent, words) {
    if (isBreak(this.here)) {
      this.result += this.piece(start, this.position, true);
      this.result += foldedBreaks(this.skipGap(false, leastIndent));
      return this.position;
    }
    if (this.isAtSeparator()) throw this.error(`unexpected end of the document within a ${words} quoted scalar`);
    this.position += 1;
    return start;
  }

  readEscape(leastIndent) {
    const { here } = this;
    if (isBreak(here)) {
      this.skipGap(false, leastIndent);
    } else if (owns(ESCAPES, here)) {
      this.result += ESCAPES[here];
      this.position += 1;
    } else if (owns(HEX_ESCAPES, here)) {
      let code = 0;
      for (let count = HEX_ESCAPES[here]; count > 0; count -= 1) {
        this.position += 1;
        if (!/[0-9a-fA-F]/.test(this.here)) throw this.error('expected hexadecimal character');
        code = (code << 4) + parseInt(this.here, 16);
      }
      this.result += characterOf(code);
      this.position += 1;
    } else {
      throw this.error('unknown escape sequence');
    }
  }

  readBlockScalar(leastIndent) {
    if (this.here !== '|' && this.here !== '>') return false;
    const isFolding = this.here === '>';
    this.kind = 'scalar';
    this.result = '';
    const header = this.readBlockHeader(leastIndent);
    const { chomping } = header;
    let { indent, isIndentKnown } = header;
    let hasContent = false;
    let emptyLines = 0;
    let wasIndented = false;
    while (this.here !== END) {
      this.readLineBreak();
      this.lineIndent = 0;
      while ((!isIndentKnown || this.lineIndent < indent) && this.here === ' ') {
        this.lineIndent += 1;
        this.position += 1;
      }
      if (!isIndentKnown && this.lineIndent > indent) indent = this.lineIndent;
      if (isBreak(this.here)) {
        emptyLines += 1;
        continue;
      }
      const kept = '\n'.repeat(hasContent ? 1 + emptyLines : emptyLines);
      if (this.lineIndent < indent) {
        if (chomping === '+') this.result += kept;
        else if (chomping === '' && hasContent) this.result += '\n';
        break;
      }
      if (!isFolding) {
        this.result += kept;
      } else if (isSpace(this.here)) {
        wasIndented = true;
        this.result += kept;
      } else if (wasIndented) {
        wasIndented = false;
        this.result += '\n'.repeat(emptyLines + 1);
      } else if (emptyLines === 0) {
        if (hasContent) this.result += ' ';
      } else {
        this.result += '\n'.repeat(emptyLines);
      }
      hasContent = true;
      isIndentKnown = true;
      emptyLines = 0;
      const start = this.position;
      this.skipWhile((character) => !isBreak(character));
      this.result += this.piece(start, this.position, false);
    }
    return true;
  }

  readBlockHeader(leastIndent) {
    const header = { chomping: '', indent: leastIndent, isIndentKnown: false };
    for (this.position += 1; this.here !== END; this.position += 1) {
      const { here } = this;
      if (here === '+' || here === '-') {
        if (header.chomping !== '') throw this.error('repeat of a chomping mode identifier');
        header.chomping = here;
      } else if (here >= '0' && here <= '9') {
        if (here === '0') {
          throw this.error('bad explicit indentation width of a block scalar; it cannot be less than one');
        }
        if (header.isIndentKnown) throw this.error('repeat of an indentation width identifier');
        header.indent = leastIndent + Number(here) - 1;
        header.isIndentKnown = true;
      } else {
        break;
      }
    }
    if (isSpace(this.here)) {
      this.skipWhile(isSpace);
      if (this.here === '#') this.skipWhile((character) => !isBreak(character));
    }
    return header;
  }

  // --- Collections

  readFlowCollection(indent) {
    if (this.here !== '[' && this.here !== '{') return false;
    const isMapping = this.here === '{';
    const close = isMapping ? '}' : ']';
    const { tag, anchor } = this;
    const collection = isMapping ? {} : [];
    const overridable = new Set();
    this.name(collection);
    this.position += 1;
    let isSeparated = true;
    while (this.here !== END) {
      this.skipGap(true, indent);
      if (this.here === close) {
        this.position += 1;
        Object.assign(this, { tag, anchor, kind: isMapping ? 'mapping' : 'sequence', result: collection });
        return true;
      }
      if (!isSeparated) throw this.error('missed comma between flow collection entries');
      this.readFlowEntry(collection, overridable, indent);
      this.skipGap(true, indent);
      isSeparated = this.here === ',';
      if (isSeparated) this.position += 1;
    }
    throw this.error('unexpected end of the stream within a flow collection');
  }

  readFlowEntry(collection, overridable, indent) {
    const isExplicit = this.here === '?' && isGap(this.next);
    if (isExplicit) {
      this.position += 1;
      this.skipGap(true, indent);
    }
    const { line } = this;
    this.readNode(indent, FLOW_INSIDE, false, true);
    const key = { tag: this.tag, value: this.result };
    this.skipGap(true, indent);
    let value = null;
    let isPair = isExplicit;
    if ((isExplicit || this.line === line) && this.here === ':') {
      isPair = true;
      this.position += 1;
      this.skipGap(true, indent);
      this.readNode(indent, FLOW_INSIDE, false, true);
      value = this.result;
    }
    if (!Array.isArray(collection)) this.store(collection, overridable, key, value);
    else if (isPair) collection.push(this.store({}, overridable, key, value));
    else collection.push(key.value);
  }

  readBlockSequence(indent) {
    const { tag, anchor } = this;
    const list = [];
    let isFound = false;
    this.name(list);
    while (this.here === '-' && (isGap(this.next) || this.next === END)) {
      isFound = true;
      this.position += 1;
      if (this.skipGap(true, -1) !== 0 && this.lineIndent <= indent) {
        list.push(null);
        continue;
      }
      const { line } = this;
      this.readNode(indent, BLOCK_INSIDE, false, true);
      list.push(this.result);
      this.skipGap(true, -1);
      if ((this.line === line || this.lineIndent > indent) && this.here !== END) {
        throw this.error('bad indentation of a sequence entry');
      }
      if (this.lineIndent < indent) break;
    }
    if (isFound) Object.assign(this, { tag, anchor, kind: 'sequence', result: list });
    return isFound;
  }

  readBlockMapping(indent, flowIndent) {
    const { tag, anchor } = this;
    const mapping = {};
    const overridable = new Set();
    this.name(mapping);
    // A key whose value is still to come: after a question mark.
    let key = null;
    let isFound = false;
    const storeKey = (value, place) => {
      this.store(mapping, overridable, key || { tag: null, value: null }, value, place);
      key = null;
    };
    let isExplicit = false;
    while (this.here !== END) {
      const { line } = this;
      const place = { line, position: this.position };
      let allowsCompact = false;
      if ((this.here === '?' || this.here === ':') && isGap(this.next)) {
        allowsCompact = true;
        if (this.here === '?') {
          if (isExplicit) storeKey(null);
          isFound = true;
          isExplicit = true;
        } else if (isExplicit) {
          isExplicit = false;
        } else {
          throw this.error('incomplete explicit mapping pair; a key node is missed; ' +
            'or followed by a non-tabulated empty line');
        }
        this.position += 1;
      } else if (this.readNode(flowIndent, FLOW_OUTSIDE, false, true)) {
        if (!this.readColon(line, isFound)) {
          // No mapping: what was read is a node of its own.
          Object.assign(this, { tag, anchor });
          return true;
        }
        const found = { tag: this.tag, value: this.result };
        if (isExplicit) storeKey(null);
        isFound = true;
        isExplicit = false;
        key = found;
      } else {
        break;
      }
      if (this.line === line || this.lineIndent > indent) {
        let value = null;
        if (this.readNode(indent, BLOCK_OUTSIDE, true, allowsCompact)) {
          if (isExplicit) key = { tag: key ? key.tag : null, value: this.result };
          else value = this.result;
        }
        if (!isExplicit) storeKey(value, place);
        this.skipGap(true, -1);
      }
      if (this.lineIndent > indent && this.here !== END) throw this.error('bad indentation of a mapping entry');
      if (this.lineIndent < indent) break;
    }
    if (isExplicit) storeKey(null);
    if (isFound) Object.assign(this, { tag, anchor, kind: 'mapping', result: mapping });
    return isFound;
  }

  // The colon after a key that stands on `line`; false where the node is no key, and none was expected.
  readColon(line, isExpected) {
    if (this.line === line) {
      this.skipWhile(isSpace);
      if (this.here === ':') {
        this.position += 1;
        if (isGap(this.here)) return true;
        throw this.error('a whitespace character is expected after the key-value separator within a block mapping');
      }
      if (isExpected) throw this.error('can not read an implicit mapping pair; a colon is missed');
    } else if (isExpected) {
      throw this.error('can not read a block mapping entry; a multiline key may not be an implicit key');
    }
    return false;
  }

  // Adds a pair to `mapping`, merges included: what `<<` brought gives way to a key that stands in the mapping itself.
  store(mapping, overridable, key, value, place) {
    const name = this.keyText(key.value);
    if (key.tag === `${STANDARD}merge`) {
      for (const source of Array.isArray(value) ? value : [value]) this.merge(mapping, source, overridable);
      return mapping;
    }
    if (!this.json && !overridable.has(name) && owns(mapping, name)) {
      if (place) Object.assign(this, { line: place.line, position: place.position });
      throw this.error('duplicated mapping key');
    }
    setOwn(mapping, name, value);
    overridable.delete(name);
    return mapping;
  }

  keyText(key) {
    if (Array.isArray(key)) {
      return String(key.map((item) => {
        if (Array.isArray(item)) throw this.error('nested arrays are not supported inside keys');
        return isPlainObject(item) ? '[object Object]' : item;
      }));
    }
    return isPlainObject(key) ? '[object Object]' : String(key);
  }

  merge(mapping, source, overridable) {
    if (typeof source !== 'object' || source === null) {
      throw this.error('cannot merge mappings; the provided source object is unacceptable');
    }
    for (const name of Object.keys(source)) {
      if (owns(mapping, name)) continue;
      setOwn(mapping, name, source[name]);
      overridable.add(name);
    }
  }
}

// Not by assignment: a key named `__proto__` is a key.
function setOwn(object, name, value) {
  Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true });
}

function characterOf(code) {
  if (code <= 0xFFFF) return String.fromCharCode(code);
  return String.fromCharCode(((code - 0x10000) >> 10) + 0xD800, ((code - 0x10000) & 0x3FF) + 0xDC00);
}

function readDocuments(input, options) {
  let text = String(input);
  if (text !== '' && !isBreak(text[text.length - 1])) text += '\n';
  if (text[0] === '\uFEFF') text = text.slice(1);
  const reader = new Reader(text + END, options || {});
  const end = text.indexOf(END);
  if (end !== -1) {
    reader.position = end;
    throw reader.error('null byte is not allowed in input');
  }
  return reader.readAll();
}

function load(input, options) {
  const documents = readDocuments(input, options);
  if (documents.length > 1) throw new YAMLException('expected a single document in the stream, but found more');
  return documents[0];
}

function loadAll(input, iterator, options) {
  let settings = options;
  let call = iterator;
  if (iterator !== null && typeof iterator === 'object' && options === undefined) {
    settings = iterator;
    call = null;
  }
  const documents = readDocuments(input, settings);
  if (typeof call !== 'function') return documents;
  documents.forEach((document) => call(document));
  return undefined;
}

const safeLoad = (input, options) => load(input, { schema: DEFAULT_SAFE_SCHEMA, ...options });

function safeLoadAll(input, iterator, options) {
  if (typeof iterator === 'object' && iterator !== null && options === undefined) {
    return loadAll(input, { schema: DEFAULT_SAFE_SCHEMA, ...iterator });
  }
  return loadAll(input, iterator, { schema: DEFAULT_SAFE_SCHEMA, ...options });
}

const deprecated = (name) => () => {
  throw new Error(`Function ${name} is deprecated and cannot be used.`);
};

const yaml = {
  Type,
  Schema,
  FAILSAFE_SCHEMA,
  JSON_SCHEMA,
  CORE_SCHEMA,
  DEFAULT_SAFE_SCHEMA,
  DEFAULT_FULL_SCHEMA,
  load,
  loadAll,
  safeLoad,
  safeLoadAll,
  dump,
  safeDump,
  YAMLException,
  MINIMAL_SCHEMA: FAILSAFE_SCHEMA,
  SAFE_SCHEMA: DEFAULT_SAFE_SCHEMA,
  DEFAULT_SCHEMA: DEFAULT_FULL_SCHEMA,
  scan: deprecated('scan'),
  parse: deprecated('parse'),
  compose: deprecated('compose'),
  addConstructor: deprecated('addConstructor'),
};
