//! L07: what remains of secrets in the memory of a process after everything was dropped.
//!
//! A process of its own fetches tokens and then searches itself. The authorization server is in the parent, so that
//! every copy that is found went through the client.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use client_credentials::{AccessToken, ClientAuth};

use crate::harness::canary::{SECRET, TOKEN};
use crate::harness::child;
use crate::harness::server::{Server, raw, response, token_json};
use crate::story::{basic, builder_with, post};

const TEST: &str = "memory::after_the_drop_no_copy_of_ours_is_left";

/// `wire:` and the secret in base64: what `client_secret_basic` sends. A constant, since what is computed would be found.
const BASIC: &str = "d2lyZTpjYW5hcnktN1FwMi1jbGllbnQtc2VjcmV0LVp4OTE=";

/// By each of the two methods.
const FETCHES: usize = 20;

#[test]
#[allow(clippy::print_stdout, reason = "the figure is for the docs")]
fn after_the_drop_no_copy_of_ours_is_left() {
    // L07
    let Ok(url) = std::env::var("MEMORY_URL") else {
        // With a head of this length, no token in hyper's buffers is where one of ours would be.
        let response = response(200, &[("content-type", "application/json")], token_json(TOKEN, 3600));
        let server = Server::start([raw(response)]);
        let output = child::run(TEST, &[("MEMORY_URL", server.url("/token"))]);
        let output = output.expect("we are the parent");
        child::assert_passed(&output);
        let said = String::from_utf8_lossy(&output.stdout);
        return said.lines().filter(|line| line.starts_with("memory:")).for_each(|line| println!("{line}"));
    };
    let mut search = Search::new();
    assert_eq!(search.all(), [0, 0, 0], "before anything was sent");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // All tokens are held until the end, so that what is freed is not hidden by what is allocated next.
    let mut tokens = Vec::new();
    runtime.block_on(async {
        for auth in [basic(), post()] {
            fetch(&url, auth, &mut search, &mut tokens).await;
        }
    });
    drop(runtime);
    drop(tokens);

    let left = search.all();
    println!(
        "\nmemory: after {} token requests there are {left:?} copies of the secret, of its Basic form and of the token",
        2 * FETCHES
    );
    let [secret, basic, token] = left;
    assert_eq!(secret, 0, "in a form, and read from a credential: all wiped");
    // hyper's buffers, which it frees without wiping: of the head that it sent, and of the response that it received.
    // The allocator reuses them, so that there are fewer than requests.
    assert!(basic <= FETCHES && token <= 2 * FETCHES, "{left:?}");
    // Each of this crate's copies begins its allocation (at a multiple of 16 with this allocator) as it is, or with one
    // of these before it; in hyper's there is a head before it.
    let ours = [(BASIC, vec!["", "Basic "]), (TOKEN, vec!["", "Bearer ", r#"{"access_token":""#])];
    for (canary, beginnings) in ours {
        for place in search.places(canary) {
            let begins = |before: &&str| (place - before.len() as u64) % 16 == 0;
            let found = beginnings.iter().find(|before| begins(before));
            assert_eq!(found, None, "{}", search.around(place));
        }
    }
}

async fn fetch(url: &str, auth: ClientAuth, search: &mut Search, tokens: &mut Vec<AccessToken>) {
    let sources: Vec<_> = (0..FETCHES).map(|_| builder_with(url, auth.clone()).build().unwrap()).collect();
    for source in &sources {
        tokens.push(source.token().await.unwrap());
    }
    let [secret, _, held] = search.all();
    assert!(secret > 0 && held >= tokens.len(), "the search finds what is there");
}

/// Looks for the three in all memory that can be written, but not in what it reads into.
struct Search {
    memory: File,
    part: Vec<u8>,
}

impl Search {
    fn new() -> Self {
        Search { memory: File::open("/proc/self/mem").unwrap(), part: vec![0; 1 << 20] }
    }

    fn all(&mut self) -> [usize; 3] {
        [SECRET, BASIC, TOKEN].map(|canary| self.places(canary).len())
    }

    /// Where a canary begins. Its end is looked for: what is freed loses its first 16 bytes to the allocator.
    fn places(&mut self, canary: &str) -> Vec<u64> {
        let (lost, canary) = canary.split_at(canary.len() - 12);
        let lost = lost.len() as u64;
        let mut places = Vec::new();
        for region in self.regions() {
            let mut at = region.start;
            while at < region.end {
                let length = usize::try_from(region.end - at).unwrap().min(self.part.len());
                let read = self.memory.read_at(&mut self.part[..length], at).unwrap_or(0);
                let found = find(&self.part[..read], canary.as_bytes());
                places.extend(found.into_iter().map(|place| at + place as u64 - lost));
                // A match across the boundary is found in the next part.
                at += if length == self.part.len() { length - canary.len() + 1 } else { length } as u64;
            }
        }
        places.dedup();
        self.part.fill(0);
        places
    }

    fn regions(&self) -> Vec<Range<u64>> {
        let own = self.part.as_ptr() as u64..(self.part.as_ptr() as u64 + self.part.len() as u64);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let writable = maps.lines().filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let number = |text| u64::from_str_radix(text, 16).ok();
            rest.starts_with("rw").then_some(number(start)?..number(end)?)
        });
        let without_own = writable
            .flat_map(|region| [region.start..region.end.min(own.start), region.start.max(own.end)..region.end]);
        without_own.filter(|region| region.start < region.end).collect()
    }

    fn around(&self, place: u64) -> String {
        let mut bytes = vec![0; 120];
        let _ = self.memory.read_at(&mut bytes, place - 60);
        bytes.escape_ascii().to_string()
    }
}

fn find(bytes: &[u8], canary: &[u8]) -> Vec<usize> {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == canary[0]);
    starts.map(|(at, _)| at).filter(|at| bytes[*at..].starts_with(canary)).collect()
}
