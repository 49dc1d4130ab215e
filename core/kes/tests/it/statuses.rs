use strongroom_failure::{Class, Failure};
use strongroom_kes::status::{error, one_line};

#[test]
fn ke_13_a_status_is_one_line_without_runs_of_blanks() {
    for (text, expected) in
        [("\n\n\nLots      of spaces\n\n\n", "Lots of spaces"), ("a\tb", "a b"), ("a \t b\r\nc", "a bc"), ("", "")]
    {
        assert_eq!(one_line(text), expected);
    }
}

#[test]
fn an_error_names_the_field_the_cause_and_the_cure() {
    let cause =
        Failure::new(Class::Invalid, "_getByPath not implemented").in_field("spec.data[0]").with_hint("name a key");
    assert_eq!(error(&[cause]), "ERROR, spec.data[0]: _getByPath not implemented (name a key)");
    let missing = Failure::new(Class::NotFound, "Could not find property p in k").on_key("k");
    let away = Failure::new(Class::Unavailable, "nobody answers").on_key("k").from_store("Vault");
    assert_eq!(error(&[missing, away]), "ERROR, Could not find property p in k; nobody answers (key k) from Vault");
}
