//! `block_list`: requests that get an empty response, or none.

use flowgate_filter::Case;
use flowgate_flow::{Body, Flow, Headers, MetadataValue};
use flowgate_proxy::{HookFuture, LiveFlow};

use crate::error::{FeatureError, FeatureFault};
use crate::on_request::RequestFeature;
use crate::spec::{Condition, Entry};

const EXPECTED: &str = "`/filter/status`";

/// The status that stands for no response at all.
const NO_RESPONSE: u16 = 444;

/// The rules of `block_list`.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockList(Vec<(Condition, Block)>);

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Block {
    /// It is answered with this status and nothing else.
    Answer(u16),
    /// Its connection, or stream, is closed.
    Close,
}

impl BlockList {
    pub(crate) fn parse(texts: &[String], case: Case) -> Result<Self, FeatureError> {
        let rule = |entry: Entry<'_>| {
            let parts = entry.parts(3);
            let [filter, status] = parts.as_slice() else {
                return Err(entry.error(0, FeatureFault::Parts { expected: EXPECTED }));
            };
            let condition = entry.condition(*filter, case)?;
            let block = match status.text.parse() {
                Ok(NO_RESPONSE) => Block::Close,
                Ok(status @ 200..=599) => Block::Answer(status),
                _ => return Err(entry.error(status.column, FeatureFault::Status)),
            };
            Ok((condition, block))
        };
        Entry::all("block_list", texts).map(rule).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What becomes of a request, if a rule is about it: a rule that closes counts before all others, and of those that answer the
    /// last, as in mitmproxy.
    pub(crate) fn judge(&self, flow: &Flow) -> Option<Block> {
        let mut meant = self.0.iter().filter(|(condition, _)| condition.holds(flow)).map(|(_, block)| *block);
        let first = meant.next()?;
        Some(meant.fold(first, |before, block| if before == Block::Close { before } else { block }))
    }
}

impl RequestFeature for BlockList {
    fn name(&self) -> &str {
        "block_list"
    }

    fn reads_bodies(&self) -> bool {
        self.0.iter().any(|(condition, _)| condition.reads_bodies())
    }

    fn act<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        let Some(block) = self.judge(flow.flow()) else { return HookFuture::DONE };
        flow.note("blocklisted", MetadataValue::Bool(true));
        match block {
            Block::Close => flow.kill(),
            Block::Answer(status) => {
                let headers: Headers = [("Server", crate::SERVER)].into_iter().collect();
                crate::answer(flow, LiveFlow::response_of(status, headers, Body::EMPTY));
            }
        }
        HookFuture::DONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn rules(texts: &[&str]) -> Result<BlockList, FeatureError> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        BlockList::parse(&texts, Case::Ignored)
    }

    #[test]
    fn the_last_status_counts_and_closing_before_all() {
        let flow = testing::flow("GET http://ads.example.com/a", &[]);
        for (texts, block) in [
            (&["/~d ads/403"][..], Some(Block::Answer(403))),
            (&["|~d ads|444"], Some(Block::Close)),
            (&["/~d ads/403", "/~m get/204"], Some(Block::Answer(204))),
            (&["/~d ads/444", "/~m get/204"], Some(Block::Close)),
            (&["/~d other/403"], None),
            (&[], None),
        ] {
            assert_eq!(rules(texts).unwrap().judge(&flow), block, "{texts:?}");
        }
        assert!(rules(&["/~bq x/403"]).unwrap().reads_bodies());
        assert!(!rules(&["/~q/403"]).unwrap().reads_bodies());
    }

    #[test]
    fn mistakes() {
        for (text, told) in [
            (
                "/~d ads",
                "block_list[0]: expected `/filter/status`, where the first character is the separator",
            ),
            (
                "/~q/4/5",
                "block_list[0]: expected `/filter/status`, where the first character is the separator",
            ),
            ("", "block_list[0]: expected `/filter/status`, where the first character is the separator"),
            (
                "/~d ads/x",
                "block_list[0] at column 9: expected a status from 200 to 599, or 444 to close the connection",
            ),
            (
                "/~q/100",
                "block_list[0] at column 5: expected a status from 200 to 599, or 444 to close the connection",
            ),
            (
                "/a b)/403",
                "block_list[0] at column 5: unbalanced parenthesis; put a pattern with parentheses in quotes",
            ),
        ] {
            assert_eq!(rules(&[text]).unwrap_err().to_string(), told);
        }
    }
}
