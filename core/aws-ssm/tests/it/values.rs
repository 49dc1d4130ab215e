use strongroom_aws_ssm::Kind;
use strongroom_aws_ssm::values::{directory, entries, safe_key_name, single};

use crate::{line, value};

#[test]
fn as_01_the_key_bears_the_name_of_the_type() {
    let check = |kind: Kind, text: &str, expected: &str| {
        assert_eq!(line(&single(kind, value(text)).unwrap()), expected);
    };
    check(Kind::String, "FooBar", "String=FooBar");
    check(Kind::SecureString, "FooBar", "SecureString=FooBar");
    check(
        Kind::StringList,
        "srv0=10.0.0.10,srv1=10.0.0.11",
        "StringList=srv0=10.0.0.10,srv1=10.0.0.11 srv0=10.0.0.10 srv1=10.0.0.11",
    );
    // The whole list wins over an entry of that name.
    check(Kind::StringList, "StringList=a", "StringList=StringList=a");
}

#[test]
fn as_02_lists_are_read_as_the_original_reads_them() {
    let check = |text: &str, expected: &str| assert_eq!(line(&entries(&value(text)).unwrap()), expected, "{text}");
    check("", "");
    check("   ", "");
    check("key1=val1,key2=val2,key3=val3,key4=val4=true", "key1=val1 key2=val2 key3=val3 key4=val4=true");
    check("key1", "key1=");
    check(",key1=val1,", "key1=val1");
    check(" a=1 , b=2 ", "a=1 b=2");
    check("a=1,a=2", "a=2");
    check("ThIsMiGhTBeBaSe64==", "ThIsMiGhTBeBaSe64==");
    assert_eq!(entries(&value("ThIsMiGhTBeBaSe64==")).unwrap()["ThIsMiGhTBeBaSe64"].expose(), b"=");
    check("123,456,789", "123= 456= 789=");
}

#[test]
fn an_entry_that_is_no_key_is_told_by_its_place_alone() {
    for text in ["a=1,canary 7", "a=1,=canary7", "a=1,https://canary7/"] {
        let failure = single(Kind::StringList, value(text)).unwrap_err();
        assert_eq!(failure.words, "entry 2 of the list is no key of a Secret");
        assert!(!format!("{failure:?}").contains("canary"), "an entry is a part of a value");
    }
}

#[test]
fn as_02_names_become_keys() {
    let check = |name: &str, expected: &str| assert_eq!(safe_key_name(name), expected, "{name}");
    check("/foo/bar", "foo_bar");
    check("/foo/bar/", "foo_bar");
    check("//foo/bar", "_foo_bar");
    check("/foo/bar/baz", "foo_bar_baz");
}

#[test]
fn as_01_a_directory_has_a_key_for_each_parameter() {
    let found = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), value(name))).collect();
    let values = directory("/dev/db", found(&["/dev/db/user", "/dev/db/more/host"])).unwrap();
    assert_eq!(line(&values), "host=/dev/db/more/host user=/dev/db/user");
}

#[test]
fn two_parameters_of_one_key_are_told_and_none_is_lost() {
    let found = ["/dev/a/user", "/dev/b/user"].map(|name| (name.to_owned(), value("canary7"))).to_vec();
    let failure = directory("/dev", found).unwrap_err();
    assert_eq!(failure.words, "/dev/a/user and /dev/b/user would both be the key user");
    assert_eq!(directory("/dev", Vec::new()).unwrap_err().words, "there is no parameter below /dev");
}
