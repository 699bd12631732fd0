use proptest::prelude::*;

use super::*;
use crate::grant::response::{Reading, Rules, decode};
use crate::server_text::Masks;
use crate::token::Holder;

type Oracle = fn(&[u8]);

/// Each oracle with the folder of its seeds, which are responses of real servers and examples of the RFCs.
const ORACLES: &[(&str, Oracle)] = &[
    ("token_response", token_response),
    ("www_authenticate", www_authenticate),
    ("waiting_time", waiting_time),
    ("metadata", metadata),
    ("secret_file", secret_file),
    ("quota", quota),
    ("refusal", refusal),
    ("challenge_verdict", challenge_verdict),
    ("url_as_written", url_as_written),
    ("certificate", certificate),
    #[cfg(any(feature = "jwt", feature = "mtls", feature = "redis"))]
    ("key_text", key_text),
    #[cfg(feature = "serde")]
    ("configuration", configuration),
    ("resource_metadata", resource_metadata),
    #[cfg(feature = "dpop")]
    ("dpop_nonce", dpop_nonce),
    #[cfg(feature = "shared")]
    ("stored_record", stored_record),
];

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds/");
    let files = std::fs::read_dir(format!("{folder}{name}")).unwrap();
    files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn no_seed_breaks_a_parser_whole_or_cut_or_with_a_byte_changed() {
    // `ORACLE=name` runs one.
    let only = std::env::var("ORACLE").unwrap_or_default();
    for (name, oracle) in ORACLES.iter().filter(|(name, _)| only.is_empty() || *name == only) {
        let seeds = seeds(name);
        assert!(seeds.len() >= 5, "{name}: only {} seeds", seeds.len());
        for seed in seeds {
            oracle(&seed);
            for at in 0..seed.len() {
                oracle(&seed[..at]);
                // The fuzzer, which starts from the same seeds, tries the others.
                let mut changed = seed.clone();
                changed[at] = b"\"0\n\xff"[at % 4];
                oracle(&changed);
            }
        }
    }
}

#[test]
fn most_seeds_of_a_server_are_understood() {
    // The parsers must accept some seeds; otherwise the corpus would test nothing.
    let masks = Masks::new(Vec::new());
    let decoded = |seed: &Vec<u8>| {
        decode(
            response(seed),
            Reading { rules: &Rules::default(), masks: &masks, asked_scope: None },
            Holder::default(),
            now(),
            now(),
            &crate::clock::Clock::System,
        )
        .is_ok()
    };
    let seeds = seeds("token_response");
    let tokens = seeds.iter().filter(|seed| decoded(seed)).count();
    assert!(tokens >= 10, "{tokens} of {} are tokens", seeds.len());
}

proptest! {
    #[test]
    fn no_bytes_break_a_parser(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        ORACLES.iter().for_each(|(_, oracle)| oracle(&bytes));
    }

    #[test]
    fn no_two_seeds_put_together_break_a_parser(which: prop::sample::Index, one: prop::sample::Index, other: prop::sample::Index,
        from: prop::sample::Index, to: prop::sample::Index) {
        let (name, oracle) = which.get(ORACLES);
        let seeds = seeds(name);
        let (one, other) = (one.get(&seeds), other.get(&seeds));
        let spliced = [&one[..from.index(one.len() + 1)], &other[to.index(other.len() + 1)..]].concat();
        oracle(&spliced);
    }
}
