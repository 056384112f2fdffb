//! A SOCKS5 handshake ends the same in any segmentation, waits for no more than a message, and leaves over what follows.
#![no_main]

use flowgate_flow::Address;
use flowgate_wire::socks5_client::{Progress, REPLY_BYTES_MAX, Socks5Client, Socks5Error, UserPassword};
use libfuzzer_sys::fuzz_target;

fn converse(answers: &[u8], step: usize) -> Result<Option<Vec<u8>>, Socks5Error> {
    let destination = Address { host: "a.test".into(), port: 443 };
    let credentials = UserPassword { user: "user", password: "password" };
    let (mut client, _) = Socks5Client::begin(&destination, Some(credentials))?;
    let (mut buffer, mut coming) = (Vec::new(), answers.chunks(step));
    loop {
        match client.receive(&buffer)? {
            Progress::NeedMore => {
                assert!(buffer.len() < REPLY_BYTES_MAX);
                match coming.next() {
                    Some(more) => buffer.extend_from_slice(more),
                    None => return Ok(None),
                }
            }
            Progress::Send { consumed, .. } => drop(buffer.drain(..consumed)),
            Progress::Established { consumed } => {
                buffer.drain(..consumed);
                coming.for_each(|more| buffer.extend_from_slice(more));
                return Ok(Some(buffer));
            }
        }
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, answers) = input;
    assert_eq!(converse(answers, usize::from(step) + 1), converse(answers, usize::MAX));
});
