// What a template finds around it, and what it does not.

const HTML_ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

// A value as a text, as lodash makes one: nothing of null, the members of a list one by one, and the sign of zero.
function lodashText(value) {
  const text = (item) => {
    if (typeof item === 'string') return item;
    if (Array.isArray(item)) return `${Array.prototype.map.call(item, text)}`;
    if (typeof item === 'symbol') return Symbol.prototype.toString.call(item);
    return Object.is(item, -0) ? '-0' : item + '';
  };
  return value === null || value === undefined ? '' : text(value);
}

const escape = (value) => lodashText(value).replace(/[&<>"']/g, (character) => HTML_ESCAPES[character]);

const define = (object, name, value) => {
  Object.defineProperty(object, name, { value, writable: true, configurable: true });
};

define(globalThis, 'global', globalThis);
define(globalThis, 'Buffer', Buffer);
// It printed to the original's log, where nobody looked; a value has no place there.
const console = {};
for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table', 'assert', 'group', 'groupEnd']) {
  console[name] = () => {};
}
define(globalThis, 'console', console);
// Nothing may wait, and nothing is shared with anybody.
for (const name of ['Atomics', 'SharedArrayBuffer', 'WebAssembly', 'queueMicrotask', 'performance', 'navigator']) {
  delete globalThis[name];
}

// As they are before the template could change them.
const makeFunction = Function;
const parse = JSON.parse;
const wellFormed = Function.prototype.call.bind(String.prototype.toWellFormed);

return {
  define: setOwn,
  defineParsed: (object, name, text) => setOwn(object, name, parse(text)),
  // The template as a function of `data`; throws what the engine says about its syntax.
  lodash: (body) => makeFunction('yaml', '_', body)(yaml, { escape }),
  ejs: (body) => ejsTemplate(makeFunction('locals', 'escapeFn', 'include', 'rethrow', body)),
  // Its text, false for one of more than `limit` code units, and null for what is no text. A half of a surrogate pair
  // becomes U+FFFD, as an API server makes of it.
  render(template, data, limit) {
    const text = (0, template)(data);
    if (typeof text !== 'string') return null;
    return text.length <= limit && wellFormed(text);
  },
};
