//! Templates that were good until something was cut out, doubled or put in from another: refused or rendered, and
//! never a panic. The fuzz target `template` does the same for longer.

use serde_json::{Value as Json, json};
use strongroom_template::{Limits, Settings};

use crate::{render_with, settings};

/// Numbers that are the same in every run (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    fn part<'t>(&mut self, text: &'t [char]) -> &'t [char] {
        let start = self.below(text.len());
        let length = self.below(text.len().saturating_sub(start).min(20) + 1);
        text.get(start..start + length).unwrap_or_default()
    }
}

#[test]
fn broken_templates_are_refused_and_never_panic() {
    let lines =
        include_str!("../fixtures/sprig.jsonl").lines().chain(include_str!("../fixtures/go-templates.jsonl").lines());
    let text = |line: &str| serde_json::from_str::<Json>(line).unwrap()["tpl"].as_str().unwrap().chars().collect();
    let templates: Vec<Vec<char>> = lines.map(text).collect();
    let limits =
        Limits { steps: 20_000, made_bytes: 4 << 20, string_bytes: 64 << 10, costly_calls: 0, ..Limits::default() };
    let settings = Settings { limits, ..settings() };
    let data = json!({ "user": "a", "list": ["b", 1.5, null], "m": { "k1": "v" }, "n": -7, "nums": [3, 1], "url": "http://a/", "json": "{}" });
    let mut numbers = Numbers(1);
    let mut rendered = 0;
    for round in 0..60 {
        for template in &templates {
            let mut mutant = template.clone();
            for _ in 0..1 + round % 4 {
                let at = numbers.below(mutant.len() + 1);
                let end = (at + numbers.below(12)).min(mutant.len());
                let other = &templates[numbers.below(templates.len())];
                let put = if numbers.below(3) == 0 { Vec::new() } else { numbers.part(other).to_vec() };
                mutant.splice(at..if numbers.below(2) == 0 { at } else { end }, put);
            }
            let mutant: String = mutant.into_iter().collect();
            rendered += usize::from(render_with(&mutant, data.clone(), &settings).is_ok());
        }
    }
    assert!(rendered > 500, "{rendered}");
}
