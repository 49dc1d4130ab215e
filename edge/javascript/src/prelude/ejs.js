// What a template of Kamus' init container finds around it: `secrets`, `stringifyIfJson`, and what EJS has for all.

const XML_ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' };

const escapeForXml = (value) => {
  if (value === null || value === undefined) return '';
  return String(value).replace(/[&<>"']/g, (character) => XML_ESCAPES[character]);
};

const stringifyIfJson = (value) => (typeof value === 'object' ? JSON.stringify(value) : value);

const include = () => {
  throw new Error('include is not supported: a template is one file');
};

const rethrow = (error) => {
  throw error;
};

// What was compiled as a function of the secrets alone.
function ejsTemplate(template) {
  return (secrets) => template({ secrets, stringifyIfJson }, escapeForXml, include, rethrow);
}

