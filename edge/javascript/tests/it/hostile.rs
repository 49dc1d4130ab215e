//! Templates that mean harm: each ends in a fault of its kind, in time, and harms nobody else.

use std::time::{Duration, Instant};

use strongroom_javascript::{Dialect, Encoding, Kind, Limits};

use crate::{engine, render};

/// A secret that every template here is given, and that no fault may show.
const CANARY: &str = "canary-4b1d-hunter2";
/// How long any of them may take, the start of the process included.
const PATIENCE: Duration = Duration::from_secs(3);

/// Renders `template` with a harmless one behind it in a rendering of its own: the engine must still serve.
async fn outcome(template: &str) -> Result<String, (Kind, String)> {
    let engine = engine(Limits::default());
    let start = Instant::now();
    let answer = render(&engine, &[("x", CANARY)], &[template]).await.pop().unwrap();
    assert!(start.elapsed() < PATIENCE, "{template} took {:?}", start.elapsed());
    let next = render(&engine, &[("x", "fine")], &["<%= data.x %>"]).await.pop().unwrap();
    assert_eq!(next.unwrap(), "fine", "after {template}");
    answer.map_err(|fault| {
        let words = fault.to_string();
        assert!(!words.contains("canary") && !words.contains("hunter2"), "a value is told");
        assert!(words.chars().count() < 320, "{template}: {} characters", words.chars().count());
        (fault.kind, words)
    })
}

async fn check(template: &str, kind: Kind) {
    match outcome(template).await {
        Ok(_) => panic!("{template} has a text"),
        Err((found, words)) => assert_eq!(found, kind, "{template}: {words}"),
    }
}

#[tokio::test]
async fn what_never_ends_is_ended() {
    for template in [
        "<% while (true); %>",
        "<% for (;;) { try { while (true); } catch (e) {} finally { continue } } %>",
        "<% 'a'.replace(/a/, () => { while (1); }) %>",
        "<%= /(a+)+$/.test('a'.repeat(40) + '!') %>",
        "<%= /^(([a-z])+.)+[A-Z]([a-z])+$/.test('a'.repeat(60)) %>",
        "<% function* g() { while (true) yield 1 } for (const x of g()); %>",
        "<% const x = { toString() { while (true); } } %><%= x %>",
        "<% const x = { get [Symbol.toPrimitive]() { while (true); } } %><%- x %>",
        "<% const e = new Error('x'); Object.defineProperty(e, 'message', { get() { while (true); } }); throw e %>",
        "<% [1, 2].sort(() => { while (true); }) %>",
        "<% Array.prototype.forEach.call({ length: 2 ** 50 }, () => 0); %>",
        "<%= JSON.stringify({ toJSON() { while (true); } }) %>",
        "<% let n = 0; const f = () => { n++; f.call(); }; while (true) { try { f() } catch (e) {} } %>",
        "<% new Proxy({}, { ownKeys() { while (true); } }); Object.keys(new Proxy({}, { ownKeys() { while (true); } })) %>",
        "<% class A extends Error { get name() { while (1); } } throw new A(data.x) %>",
        "<% eval('while (true);') %>",
        "<% (async () => { while (true) await 1 })(); while (true); %>",
    ] {
        check(template, Kind::Time).await;
    }
}

#[tokio::test]
async fn what_grows_is_stopped() {
    for template in [
        "<% const list = []; while (true) list.push(new Array(1000).fill(list.length)); %>",
        "<% const all = new Map(); for (let i = 0; ; i++) all.set(i, 'x'.repeat(1000) + i); %>",
        "<% new Array(1e9).fill(0) %>",
        "<% Array.from({ length: 1e9 }, () => 0); %>",
        "<% new Uint8Array(1 << 30) %>",
        "<% const all = []; for (;;) all.push(new ArrayBuffer(1 << 20)); %>",
        "<% const all = []; while (true) try { all.push('y'.repeat(1 << 20) + all.length) } catch (e) { throw e } %>",
        "<%= 'x'.repeat(100 * 1024 * 1024) %>",
    ] {
        check(template, Kind::Memory).await;
    }
    for template in
        ["<%= 'x'.repeat(1048577) %>", "<%= 'é'.repeat(600000) %>", "<% while (__p.length < 3e6) { %>0123456789<% } %>"]
    {
        check(template, Kind::OutputTooLarge).await;
    }
    assert_eq!(outcome("<%= 'x'.repeat(1048576) %>").await.unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn what_goes_too_deep_or_too_far_is_an_error_of_its_own() {
    for template in [
        "<%= 'x'.repeat(2 ** 30) %>",
        "<% let text = 'x'; while (true) text += text + Math.random(); %>",
        "<% const f = () => f() + 1; f() %>",
        "<% const x = {}; x.toString = () => `${x}`; %><%= x %>",
        "<% let x = []; for (let i = 0; i < 2e4; i++) x = [x]; JSON.stringify(x) %>",
        "<% let x = []; for (let i = 0; i < 2e4; i++) x = [x]; yaml.dump(x) %>",
        "<% JSON.parse('['.repeat(2e5)) %>",
        "<% yaml.load('['.repeat(5000)) %>",
        "<% yaml.load('- '.repeat(5000) + 'x') %>",
        "<% eval('('.repeat(1e5)) %>",
        "<% new RegExp('('.repeat(5e4) + ')'.repeat(5e4)) %>",
        "<% 'use strict'; 2n ** (2n ** 40n) %>",
    ] {
        check(template, Kind::Runtime).await;
    }
}

#[tokio::test]
async fn a_yaml_bomb_is_stopped_where_it_is_unfolded() {
    let mut bomb = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\\n".to_owned();
    for level in 1..12 {
        let uses = vec![format!("*a{}", level - 1); 9].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{uses}]\\n"));
    }
    let loaded = outcome(&format!("<%= Object.keys(yaml.load('{bomb}')).length %>")).await;
    assert_eq!(loaded.unwrap(), "12");
    for unfold in ["JSON.stringify(bomb)", "yaml.dump(bomb, { noRefs: true })", "bomb.a11.toString()"] {
        let template = format!("<% const bomb = yaml.load('{bomb}') %><%= {unfold} %>");
        let (kind, words) = outcome(&template).await.unwrap_err();
        assert!(matches!(kind, Kind::Memory | Kind::Time), "{unfold}: {kind:?} {words}");
    }
}

#[tokio::test]
async fn nothing_leads_outside() {
    for template in [
        "<% process.exit(1) %>",
        "<% require('fs') %>",
        "<%= module.exports %>",
        "<% globalThis.constructor.constructor('return process')() %>",
        "<% this.constructor.constructor('return process')().exit() %>",
        "<% _.escape.constructor('return process')() %>",
        "<% yaml.load.constructor('return require')() %>",
        "<% Function('return process')() %>",
        "<% (function () {}).constructor('return this.process.env')() %>",
        "<% arguments.callee.caller.arguments[0].x %>",
        "<% setTimeout(() => {}, 1) %>",
        "<% new WebAssembly.Module(new Uint8Array(8)) %>",
        "<% new SharedArrayBuffer(8) %>",
        "<% Atomics.wait(new Int32Array(4), 0, 0) %>",
        "<% std.getenv('HOME') %>",
        "<% os.exec(['true']) %>",
        "<% new Worker('x') %>",
        "<% fetch('http://127.0.0.1') %>",
        "<% import.meta.url %>",
        "<% scriptArgs.length %>",
        "<% yaml.load('!!js/function \"function () { return process }\"') %>",
        "<% yaml.safeLoad('!!js/function \"function () { return 1 }\"') %>",
        "<% print.constructor.prototype.x.y %>",
    ] {
        let (kind, words) = outcome(template).await.unwrap_err();
        assert!(matches!(kind, Kind::Runtime | Kind::Syntax), "{template}: {kind:?} {words}");
    }
    // They exist, and do nothing.
    for (template, expected) in [
        ("<% import('fs').then((fs) => { __p += fs }, () => {}) %>ok", "ok"),
        ("<% new Promise(() => {}) %>ok", "ok"),
        ("<% Promise.reject(new Error(data.x)) %>ok", "ok"),
        ("<% console.log(data.x) %>ok", "ok"),
        (
            "<%= typeof std + typeof os + typeof process + typeof require + typeof setTimeout + typeof WebAssembly %>",
            "undefinedundefinedundefinedundefinedundefinedundefined",
        ),
        (
            "<% Error.prepareStackTrace = (e, frames) => { throw frames }; try { new Error('x').stack } catch (e) {} %>ok",
            "ok",
        ),
    ] {
        assert_eq!(outcome(template).await.unwrap(), expected, "{template}");
    }
}

#[tokio::test]
async fn no_error_tells_a_value() {
    for template in [
        "<% throw data.x %>",
        "<% throw new Error(data.x) %>",
        "<% throw new TypeError(data.x) %>",
        "<% throw { get name() { while (true); }, get message() { while (true); } } %>",
        "<% throw { message: data.x, toString() { return data.x } } %>",
        "<% null[data.x] %>",
        "<% JSON.parse(data.x) %>",
        "<% yaml.load('a: [' + data.x) %>",
        "<% eval(data.x) %>",
        "<% const e = new Error(data.x); e.name = data.x; throw e %>",
        "<% throw Object.create(Error.prototype, { name: { value: data.x }, message: { value: data.x } }) %>",
        "<% class A extends Error { get name() { return data.x } } throw new A() %>",
        "<% throw new Error(data.x.split('').reverse().join('')) %>",
        "<% throw new Error(Buffer.from(data.x).toString('base64')) %>",
        "<% throw new Error(data.x.toUpperCase()) %>",
        "<% Object.freeze({ [data.x]: 1 })[data.x] = 2; data.x() %>",
        "<% new RegExp('(' + data.x) %>",
        "<% decodeURIComponent('%' + data.x) %>",
    ] {
        let (kind, words) = outcome(template).await.unwrap_err();
        assert_eq!(kind, Kind::Runtime, "{template}");
        for told in ["2retnuh", "Y2FuYXJ5", "CANARY"] {
            assert!(!words.contains(told), "{template} tells a value in disguise");
        }
    }
}

#[tokio::test]
async fn templates_of_one_object_share_nothing_but_its_values() {
    let engine = engine(Limits::default());
    let hostile = "<% Object.prototype.polluted = 1; Array.prototype.join = () => 'evil'; globalThis.left = data.x; \
        yaml.dump = () => 'evil'; String.prototype.toWellFormed = Function = JSON = undefined; data.x = 'changed' %>done";
    let templates =
        [hostile, "<%= {}.polluted %>|<%= [1, 2].join() %>|<%= typeof left %>|<%= yaml.dump(1) %>|<%= data.x %>"];
    let answers = render(&engine, &[("x", "value")], &templates).await;
    assert_eq!(answers, [Ok("done".to_owned()), Ok("|1,2|undefined|1\n|value".to_owned())]);
}

#[tokio::test]
async fn one_bad_template_spoils_only_its_own_answer() {
    let engine = engine(Limits::default());
    let templates = [
        "<%= 1 %>",
        "<% throw 1 %>",
        "<%= 2 %>",
        "<% const all = []; for (;;) all.push(new Array(1000).fill(all.length)) %>",
        "<%= 3 %>",
        "<% if ( %>",
        "<%= data.x %>",
    ];
    let answers = render(&engine, &[("x", "4")], &templates).await;
    let kinds: Vec<_> = answers.into_iter().map(|answer| answer.map_err(|fault| fault.kind)).collect();
    let text = |text: &str| Ok(text.to_owned());
    let expected =
        [text("1"), Err(Kind::Runtime), text("2"), Err(Kind::Memory), text("3"), Err(Kind::Syntax), text("4")];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn the_time_is_one_for_all_templates() {
    let engine = engine(Limits { processor_time: Duration::from_millis(300), ..Limits::default() });
    let answers = render(&engine, &[], &["<%= 1 %>", "<% for (;;); %>", "<%= 2 %>"]).await;
    let kinds: Vec<_> = answers.into_iter().map(|answer| answer.map_err(|fault| fault.kind)).collect();
    assert_eq!(kinds, [Ok("1".to_owned()), Err(Kind::Time), Err(Kind::Time)]);
}

/// As JSON: a text, and a document with others inside.
const DOCUMENTS: [(&str, &str); 2] =
    [("text", r#""hunter2""#), ("document", r#"{"canary-name":["canary-4b1d","\u0063anary-5e2f",4213371337]}"#)];

#[tokio::test]
async fn templates_of_ejs_are_held_to_the_same_limits_and_tell_no_value() {
    // Time enough on a busy machine for whatever does not ask for all of it.
    let limits = Limits { memory: 32 << 20, deadline: Duration::from_secs(20), ..Limits::default() };
    let engine = engine(limits).with_dialect(Dialect::Ejs).with_encoding(Encoding::Json);
    for (template, kind) in [
        ("<% while (true); %>", Kind::Time),
        ("<% const all = []; for (;;) all.push(new Array(1000).fill(all.length)) %>", Kind::Memory),
        ("<% for (;;) { %>0123456789<% if (__output.length > 3e6) break } %>", Kind::OutputTooLarge),
        ("<%= secrets.text", Kind::Syntax),
        ("<% if ( %>", Kind::Syntax),
        ("<% process.exit(1) %>", Kind::Runtime),
        ("<% require('fs') %>", Kind::Runtime),
        ("<%- include('/etc/passwd') %>", Kind::Runtime),
        ("<% rethrow.constructor('return process')() %>", Kind::Runtime),
        ("<% throw secrets.text // hunter2 %>", Kind::Runtime),
        (
            "<% throw new Error(secrets.document['canary-name'].join(' ')) // canary 4b1d 5e2f 4213371337 %>",
            Kind::Runtime,
        ),
        ("<% secrets.none[secrets.document['canary-name'][1]] // canary-5e2f %>", Kind::Runtime),
        ("<% throw new Error(Object.keys(secrets.document)) // canary-name %>", Kind::Runtime),
        ("<% throw secrets.document['canary-name'][2] + '' // 4213371337 %>", Kind::Runtime),
        ("<% JSON.parse(secrets.text) // hunter2 %>", Kind::Runtime),
    ] {
        let fault = render(&engine, &DOCUMENTS, &[template]).await.pop().unwrap().unwrap_err();
        assert_eq!(fault.kind, kind, "{template}");
        let words = fault.to_string();
        for told in ["hunter2", "canary", "4b1d", "5e2f", "4213371337"] {
            assert!(!words.contains(told), "{template} tells a value");
        }
    }
}

#[tokio::test]
async fn a_tag_that_is_not_closed_is_named() {
    let engine = engine(Limits::default()).with_dialect(Dialect::Ejs);
    let fault = render(&engine, &[], &["a\n<%= b"]).await.pop().unwrap().unwrap_err();
    assert_eq!(fault.to_string(), "the template is no JavaScript: SyntaxError: missing closing %> for <%=");
}
