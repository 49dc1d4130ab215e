use strongroom_crypto::{
    adler32, equal_in_constant_time, hmac_sha256, random_below, random_bytes, sha1, sha3_224, sha256, sha512,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn digests_are_those_of_the_standards() {
    let check = |made: &[u8], expected: &str| assert!(hex(made).starts_with(expected), "{} {expected}", hex(made));
    check(&sha1(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    check(&sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(&sha512(b"abc"), "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a");
    check(&sha3_224(b""), "6b4e03423667dbb73b6e15454f0eb1abd4597f9a1b078e3f5b5a6bc7");
    check(&sha3_224(b"abc"), "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf");
    check(&hmac_sha256(b"Jefe", b"what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d27");
    assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    assert_eq!(adler32(b""), 1);
    assert_eq!(adler32(&[0xff; 1_000_000]), 0x3843e1be);
}

#[test]
fn comparison_looks_at_every_byte_and_the_length() {
    assert!(equal_in_constant_time(b"abc", b"abc") && equal_in_constant_time(b"", b""));
    assert!(!equal_in_constant_time(b"abc", b"abd") && !equal_in_constant_time(b"abc", b"ab"));
}

#[test]
fn random_numbers_stay_below_their_bound_and_reach_all_of_it() {
    let drawn: std::collections::BTreeSet<u64> = (0..1000).map(|_| random_below(7).unwrap()).collect();
    assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(random_below(0), None);
    assert_eq!(random_below(1), Some(0));
    assert_ne!(random_bytes(32).unwrap().expose(), random_bytes(32).unwrap().expose());
}
