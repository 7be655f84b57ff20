//! [`WatchedSink`]: a sink that counts and times what another sink does.

use std::sync::Arc;

use async_trait::async_trait;
use box_longpoll::checkpoint::Checkpoint;
use tokio::time::Instant;

use super::board::Board;
use super::recorder::SinkMetrics;
use crate::sink::{Page, Sink, SinkError};

/// A sink whose events are on the board and in the metrics.
pub(super) struct WatchedSink {
    sink: Box<dyn Sink>,
    board: Arc<Board>,
    metrics: SinkMetrics,
}

impl WatchedSink {
    pub(super) fn new(sink: Box<dyn Sink>, name: &'static str, board: Arc<Board>) -> Self {
        Self {
            metrics: SinkMetrics::new(name),
            sink,
            board,
        }
    }
}

#[async_trait]
impl Sink for WatchedSink {
    async fn write(&mut self, page: Page<'_>) -> Result<(), SinkError> {
        let started = Instant::now();
        self.board.writes();
        let written = self.sink.write(page).await;
        match &written {
            Ok(()) => {
                self.metrics.wrote(page.events.len(), started.elapsed());
                self.board.wrote(page.events);
            }
            Err(error) => {
                let events = &page.events[..error.written().min(page.events.len())];
                self.metrics
                    .failed(events.len(), error.kind(), started.elapsed());
                self.board.failed(events, error);
            }
        }
        written
    }

    fn keeps_checkpoint(&self) -> bool {
        self.sink.keeps_checkpoint()
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, SinkError> {
        self.sink.checkpoint().await
    }

    fn has_files(&self) -> bool {
        self.sink.has_files()
    }

    async fn reopen(&mut self) {
        self.sink.reopen().await;
    }
}
