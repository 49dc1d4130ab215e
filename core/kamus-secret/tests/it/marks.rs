use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use strongroom_api::kamus::KamusSecret;
use strongroom_kamus_secret::{MARK_ANNOTATION, is_marked, mark};
use strongroom_secret::SecretBytes;

use super::object;

fn key() -> SecretBytes {
    SecretBytes::new(vec![7; 32])
}

fn marked(object: &KamusSecret) -> KamusSecret {
    let mut marked = object.clone();
    marked.metadata.annotations.get_or_insert_default().insert(MARK_ANNOTATION.to_owned(), mark(object, &key()));
    marked
}

#[test]
fn s2_a_mark_holds_for_its_object_alone() {
    let original = object(json!({"serviceAccount": "web", "data": {"a": "x"}, "stringData": {"b": "y"}}));
    let good = marked(&original);
    assert!(!is_marked(&original, &key()) && is_marked(&good, &key()));
    assert!(!is_marked(&good, &SecretBytes::new(vec![8; 32])), "another installation's key");
    let check = |what: &str, still: bool, change: &dyn Fn(&mut KamusSecret)| {
        let mut changed = good.clone();
        change(&mut changed);
        assert_eq!(is_marked(&changed, &key()), still, "{what}");
    };
    let text = |text: &str| Some(text.to_owned());
    check("labels, type and annotations are its author's", true, &|object| {
        object.metadata.labels = Some(BTreeMap::from([("a".to_owned(), "b".to_owned())]));
        object.kind = text("TlsSecret");
        object.propagate_annotations = true;
    });
    check("another account", false, &|object| object.service_account = text("admin"));
    check("another name", false, &|object| object.metadata.name = text("other"));
    check("another namespace", false, &|object| object.metadata.namespace = text("team-b"));
    check("another value", false, &|object| drop(object.data.insert("a".to_owned(), "z".to_owned())));
    check("one value less", false, &|object| object.data.clear());
    check("one value more", false, &|object| drop(object.string_data.insert("c".to_owned(), "x".to_owned())));
    check("elsewhere", false, &|object| std::mem::swap(&mut object.data, &mut object.string_data));
    check("another form", false, &|object| {
        let mark = object.metadata.annotations.as_mut().unwrap().get_mut(MARK_ANNOTATION).unwrap();
        *mark = mark.replace("v1.", "v2.");
    });
}

proptest! {
    /// However names and values are cut, two objects that differ have two marks.
    #[test]
    fn s2_no_two_objects_have_one_mark(
        one in prop::collection::btree_map("[ab]{0,2}", "[ab]{0,2}", 0..3),
        other in prop::collection::btree_map("[ab]{0,2}", "[ab]{0,2}", 0..3),
        accounts in ("[ab]{0,2}", "[ab]{0,2}"),
        is_text in any::<bool>(),
    ) {
        let make = |values: &BTreeMap<String, String>, account: &str, is_text: bool| {
            let list = if is_text { "stringData" } else { "data" };
            object(json!({"serviceAccount": account, list: values}))
        };
        let (left, right) = (make(&one, &accounts.0, false), make(&other, &accounts.1, is_text));
        let are_same = left.data == right.data && left.string_data == right.string_data && accounts.0 == accounts.1;
        prop_assert_eq!(mark(&left, &key()) == mark(&right, &key()), are_same);
    }
}
