//! The page for those who watch: answers of the metrics endpoint.

use super::board::Board;
use crate::base::Span;
use crate::capture::live::elapsed;
use crate::telemetry::http::{Answer, Asked};
use crate::telemetry::metrics;

/// Metrics are rendered this often at most, however often they are asked for.
const FRESH: Span = Span::from_millis(250);

/// Answers for a board.
pub struct Watchers<'a> {
    board: &'a Board,
    page: Option<(Span, String)>,
}

impl<'a> Watchers<'a> {
    /// Of this board.
    pub fn new(board: &'a Board) -> Self {
        Self { board, page: None }
    }

    /// The answer to a request.
    pub fn answer(&mut self, asked: Asked) -> Answer {
        match asked {
            Asked::Metrics => {
                Answer { status: 200, content_type: metrics::CONTENT_TYPE, body: self.metrics() }
            }
            Asked::Health => verdict(self.board.sick(), "ok"),
            Asked::Ready => verdict(self.board.blind(), "ready"),
        }
    }

    fn metrics(&mut self) -> String {
        let now = elapsed();
        if let Some((when, page)) = &self.page
            && now.0 - when.0 < FRESH.0
        {
            return page.clone();
        }
        let page = metrics::render(self.board.look());
        self.page = Some((now, page.clone()));
        page
    }
}

fn verdict(wrong: Option<String>, well: &str) -> Answer {
    match wrong {
        Some(why) => Answer::text(503, &why),
        None => Answer::text(200, well),
    }
}
