//! Runs one template after the other, each in an engine of its own.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use rquickjs::{CatchResultExt, CaughtError, Context, Ctx, Function, Object, Runtime, Value};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::compile::{Dialect, compile};
use crate::fault::Kind;
use crate::frame::Request;
use crate::limits::Encoding;

/// What a template finds around it, as one function that gives what is called from here.
pub(crate) const PRELUDE: &str = concat!(
    "(function () {\n'use strict';\n",
    include_str!("prelude/types.js"),
    include_str!("prelude/dump.js"),
    include_str!("prelude/load.js"),
    include_str!("prelude/buffer.js"),
    include_str!("prelude/ejs.js"),
    include_str!("prelude/environment.js"),
    "})()",
);

/// The longest words of an error that go to the parent, in bytes; it shows far fewer.
const WORDS_LIMIT: usize = 2048;

/// A text, or what kind of fault and the engine's own words, which may hold anything.
type Outcome = Result<SecretBytes, (Kind, String)>;

/// A request that is being answered.
pub(crate) struct Evaluation<'request> {
    request: &'request Request,
    /// The values as texts, as templates see them.
    data: Vec<(&'request str, Zeroizing<String>)>,
    /// When the processor's time is used up, in the time that this process has had.
    end: Duration,
}

impl<'request> Evaluation<'request> {
    /// The clock starts here.
    pub(crate) fn new(request: &'request Request) -> Self {
        let decode = |value: &SecretBytes| Zeroizing::new(request.encoding.decode(value.expose()));
        let data = request.data.iter().map(|(name, value)| (name.as_str(), decode(value))).collect();
        Self { request, data, end: processor_time() + request.limits.processor_time }
    }

    /// What `template` comes to.
    pub(crate) fn render(&self, template: &str) -> Outcome {
        let is_late = Rc::new(Cell::new(processor_time() > self.end));
        if is_late.get() {
            return Err((Kind::Time, String::new()));
        }
        let outcome = self.run(template, Rc::clone(&is_late));
        // Whatever an engine says that was interrupted, this is why.
        if is_late.get() { Err((Kind::Time, String::new())) } else { outcome }
    }

    fn run(&self, template: &str, is_late: Rc<Cell<bool>>) -> Outcome {
        let limits = &self.request.limits;
        let runtime = Runtime::new().map_err(|_| out_of_memory())?;
        runtime.set_memory_limit(limits.memory);
        runtime.set_max_stack_size(limits.stack);
        let end = self.end;
        runtime.set_interrupt_handler(Some(Box::new(move || {
            is_late.set(is_late.get() || processor_time() > end);
            is_late.get()
        })));
        let context = Context::full(&runtime).map_err(|_| out_of_memory())?;
        context.with(|context| self.run_in(&context, template))
    }

    /// The prelude's function that makes a template of what was compiled.
    fn compiler(&self) -> &'static str {
        match self.request.dialect {
            Dialect::Lodash => "lodash",
            Dialect::Ejs => "ejs",
        }
    }

    /// The prelude's function that gives a template a value.
    fn definer(&self) -> &'static str {
        match self.request.encoding {
            Encoding::Ascii | Encoding::Utf8 => "define",
            Encoding::Json => "defineParsed",
        }
    }

    fn run_in(&self, context: &Ctx, template: &str) -> Outcome {
        let fault = |kind: Kind| move |error: CaughtError| describe(kind, error);
        let tools: Object = context.eval(PRELUDE).catch(context).map_err(fault(Kind::Runtime))?;
        let tool = |name: &str| tools.get::<_, Function>(name).catch(context).map_err(fault(Kind::Runtime));
        let (compiler, renderer, define) = (tool(self.compiler())?, tool("render")?, tool(self.definer())?);
        // Before the values are there: no word about the syntax can hold one.
        let body = compile(self.request.dialect, template).map_err(|words| (Kind::Syntax, words))?;
        let compiled: Value = compiler.call((body,)).catch(context).map_err(fault(Kind::Syntax))?;
        let data = Object::new(context.clone()).catch(context).map_err(fault(Kind::Runtime))?;
        for (name, value) in &self.data {
            let defined = define.call::<_, ()>((data.clone(), *name, value.as_str()));
            defined.catch(context).map_err(fault(Kind::Runtime))?;
        }
        let limit = self.request.limits.output;
        let rendered: Value =
            renderer.call((compiled, data, limit as f64)).catch(context).map_err(fault(Kind::Runtime))?;
        match rendered.as_string().map(|text| text.to_string()) {
            Some(Ok(text)) if text.len() <= limit => Ok(SecretBytes::from(text)),
            Some(Ok(_)) => Err((Kind::OutputTooLarge, String::new())),
            Some(Err(_)) => Err(out_of_memory()),
            None if rendered.as_bool() == Some(false) => Err((Kind::OutputTooLarge, String::new())),
            None => Err((Kind::Runtime, "the template returned what is not a string".to_owned())),
        }
    }
}

/// The processor's time that this process has had. A clock that cannot be read has run out.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::MAX, Duration::from)
}

fn out_of_memory() -> (Kind, String) {
    (Kind::Memory, String::new())
}

/// What the engine says of an error. Asking may run the template's own code once more, under the same limits.
fn describe(kind: Kind, error: CaughtError) -> (Kind, String) {
    let mut words = match error {
        CaughtError::Exception(exception) => {
            let name = exception.get::<_, String>("name").unwrap_or_default();
            let message = exception.message().unwrap_or_default();
            if message == "out of memory" {
                return out_of_memory();
            }
            if name.is_empty() { message } else { format!("{name}: {message}") }
        }
        // Where even the error could not be allocated, null is thrown.
        CaughtError::Value(value) if value.is_null() => return out_of_memory(),
        CaughtError::Value(value) => value.as_string().and_then(|text| text.to_string().ok()).unwrap_or_default(),
        CaughtError::Error(rquickjs::Error::Allocation) => return out_of_memory(),
        CaughtError::Error(_) => String::new(),
    };
    words.truncate(words.floor_char_boundary(WORDS_LIMIT));
    (kind, words)
}
