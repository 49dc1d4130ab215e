//! The parent's side: starts a child, tells it what to render, hears its answers, and ends it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value as Json;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::child::{TEXT, UNSAFE};
use crate::compile::Dialect;
use crate::fault::{Fault, Kind};
use crate::frame::{ANSWER_HEADER, read_answer_header, write_request};
use crate::limits::{Encoding, Limits};
use crate::{THIS_PROGRAM, WORKER};

/// How many children may run at once for each processor: one computes while another starts.
const CHILDREN_PER_PROCESSOR: usize = 2;
/// The longest words of an answer that is no text, in bytes.
const WORDS_LIMIT: u64 = 4096;

/// Renders templates, each object's in a child process of its own. Cheap while nobody renders.
#[derive(Debug)]
pub struct Engine {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: Limits,
    encoding: Encoding,
    dialect: Dialect,
    slots: Semaphore,
}

/// Values by the names that templates know them by, in the order in which templates see them.
type Data<'a> = [(&'a str, &'a SecretBytes)];

impl Engine {
    /// An engine whose children are `program` with `arguments`, where [`crate::serve`] is called; twice as many at once
    /// as there are processors. Templates are [`Dialect::Lodash`], and values are read as [`Encoding::Ascii`].
    pub fn new(program: PathBuf, arguments: Vec<OsString>, limits: Limits) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let slots = Semaphore::new(processors * CHILDREN_PER_PROCESSOR);
        Self { program, arguments, limits, encoding: Encoding::default(), dialect: Dialect::default(), slots }
    }

    /// An engine whose children are the program that runs, which asks [`crate::is_child`] first thing.
    pub fn of_this_program(limits: Limits) -> Self {
        Self::new(THIS_PROGRAM.into(), vec![WORKER.into()], limits)
    }

    /// Reads values otherwise.
    #[must_use]
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Takes templates for those of another language.
    #[must_use]
    pub fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Lets at most `children` run at once; at least one.
    #[must_use]
    pub fn with_slots(mut self, children: usize) -> Self {
        self.slots = Semaphore::new(children.max(1));
        self
    }

    /// Renders `templates` with `data` and returns as many answers, in the same order. One bad template spoils only its
    /// own answer, unless it uses up the time or ends the process that all of them share.
    ///
    /// Waits for a free place first, without limit; drop the future to give up, which ends the child as well.
    ///
    /// # Errors
    /// `Invalid` where there are too many templates or the values are too long; `Unavailable` where no child could be
    /// started, or one could not shut itself in and therefore did not render.
    pub async fn render(
        &self,
        data: &BTreeMap<String, SecretBytes>,
        templates: &[&str],
    ) -> Result<Vec<Result<SecretBytes, Fault>>, Failure> {
        let data: Vec<_> = data.iter().map(|(name, value)| (name.as_str(), value)).collect();
        self.render_in_order(&data, templates).await
    }

    /// As [`Engine::render`], with values that templates see in this order; of two with one name, the later one.
    ///
    /// # Errors
    /// As [`Engine::render`].
    pub async fn render_in_order(
        &self,
        data: &[(&str, &SecretBytes)],
        templates: &[&str],
    ) -> Result<Vec<Result<SecretBytes, Fault>>, Failure> {
        self.check(data, templates)?;
        let is_fit = |template: &&str| template.len() <= self.limits.template;
        let fit: Vec<&str> = templates.iter().copied().filter(is_fit).collect();
        let mut answers = self.render_fit(data, &fit).await?.into_iter();
        let answer = |template: &&str| match is_fit(template) {
            true => answers.next().unwrap_or_else(|| Err(Fault::of(Kind::Killed))),
            false => Err(Fault::of(Kind::TemplateTooLarge)),
        };
        Ok(templates.iter().map(answer).collect())
    }

    fn check(&self, data: &Data<'_>, templates: &[&str]) -> Result<(), Failure> {
        let size: usize = data.iter().map(|(name, value)| name.len() + value.len()).sum();
        let (count, limits) = (templates.len(), &self.limits);
        if count > limits.templates {
            return Err(Failure::new(Class::Invalid, format!("{count} templates, more than {}", limits.templates)));
        }
        if size > limits.data {
            let words = format!("{size} bytes of values for the templates, more than {}", limits.data);
            return Err(Failure::new(Class::Invalid, words));
        }
        Ok(())
    }

    async fn render_fit(
        &self,
        data: &Data<'_>,
        templates: &[&str],
    ) -> Result<Vec<Result<SecretBytes, Fault>>, Failure> {
        if templates.is_empty() {
            return Ok(Vec::new());
        }
        // Never closed, so there is always a place in the end.
        let _place = self.slots.acquire().await.map_err(|_| unavailable("the templates' engine is closed"))?;
        let request = write_request(&self.limits, (self.encoding, self.dialect), data, templates);
        let mut child =
            self.start().map_err(|error| unavailable(format!("cannot start the templates' process: {error}")))?;
        let mut answers = Vec::new();
        let talk = converse(&mut child, request, templates.len(), self.limits.output as u64, &mut answers);
        let is_late = timeout(self.limits.deadline, talk).await.is_err();
        let ended_by = end(child).await;
        let values = self.as_seen(data);
        let mut results = Vec::with_capacity(templates.len());
        for ((tag, text), template) in answers.into_iter().zip(templates) {
            results.push(match tag {
                TEXT => Ok(text),
                UNSAFE => {
                    return Err(unavailable(format!("the templates' process cannot shut itself in: {}", words(&text))));
                }
                tag => Err(Fault::told(Kind::of_tag(tag), words(&text), template, &values)),
            });
        }
        let is_slow = is_late || ended_by == Some(Signal::SIGXCPU as i32);
        let missing = if is_slow { Kind::Time } else { Kind::Killed };
        results.resize_with(templates.len(), || Err(Fault::of(missing)));
        Ok(results)
    }

    fn start(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }

    /// The values as templates see them and as they are, which is what no fault may hold.
    fn as_seen(&self, data: &Data<'_>) -> Vec<SecretBytes> {
        let mut seen: Vec<SecretBytes> = data.iter().map(|(_, value)| (*value).clone()).collect();
        for (_, value) in data {
            match self.encoding {
                Encoding::Ascii | Encoding::Utf8 => seen.push(self.encoding.decode(value.expose()).into()),
                // What is no JSON, no template sees.
                Encoding::Json => {
                    let document: Json = serde_json::from_slice(value.expose()).unwrap_or_default();
                    push_leaves(document, &mut seen);
                }
            }
        }
        seen
    }
}

/// Adds the texts and numbers that `document` holds, its names too.
fn push_leaves(document: Json, leaves: &mut Vec<SecretBytes>) {
    match document {
        Json::Null | Json::Bool(_) => {}
        Json::Number(number) => leaves.push(number.to_string().into()),
        Json::String(text) => leaves.push(text.into()),
        Json::Array(items) => items.into_iter().for_each(|item| push_leaves(item, leaves)),
        Json::Object(members) => {
            for (name, value) in members {
                leaves.push(name.into());
                push_leaves(value, leaves);
            }
        }
    }
}

/// Sends the request and takes answers until there are `count`, or until the child says no more.
async fn converse(
    child: &mut Child,
    request: Zeroizing<Vec<u8>>,
    count: usize,
    limit: u64,
    answers: &mut Vec<(u8, SecretBytes)>,
) -> io::Result<()> {
    let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
    let mut input = child.stdin.take().ok_or_else(missing)?;
    let mut output = child.stdout.take().ok_or_else(missing)?;
    input.write_all(&request).await?;
    // Its end is the end of the request.
    drop(input);
    while answers.len() < count {
        let mut header = [0; ANSWER_HEADER];
        output.read_exact(&mut header).await?;
        let (tag, length) = read_answer_header(header);
        if length > (if tag == TEXT { limit } else { WORDS_LIMIT }) {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        // Its whole size from the start: a buffer that grows leaves its values behind.
        let mut text = SecretBytes::new(vec![0; length as usize]);
        output.read_exact(text.expose_mut()).await?;
        answers.push((tag, text));
        if tag == UNSAFE {
            break;
        }
    }
    Ok(())
}

/// Ends the child, which has nothing more to say, and tells which signal it had ended by before, if it had.
async fn end(mut child: Child) -> Option<i32> {
    let is_over = matches!(child.try_wait(), Ok(Some(_)));
    if !is_over {
        // It may have ended in between; then there is nobody to kill.
        let _ = child.start_kill();
    }
    let status = child.wait().await.ok()?;
    status.signal().filter(|signal| is_over || *signal != Signal::SIGKILL as i32)
}

fn words(text: &SecretBytes) -> &str {
    text.expose_text().unwrap_or_default()
}

fn unavailable(words: impl Into<String>) -> Failure {
    Failure::new(Class::Unavailable, words)
}
