//! The incidents that happen at a time, and not with a request or another occasion.
//!
//! They change the server, the network, the clock, the store or the program. The weather of
//! permanent climates is in `permanent`. Start at [`Inner::happens`].

use std::time::Duration;

use box_longpoll_testkit::Fault;

use crate::coverage::state;
use crate::scenario::What;
use crate::world::{Inner, SECONDS_A_DAY};

impl Inner {
    /// Performs an incident that is scheduled for a time.
    pub(crate) fn happens(&mut self, index: usize) {
        self.fired.insert(index);
        let what = self.scenario.incidents[index].what.clone();
        let now = self.now;
        match &what {
            What::Append { events, odd } => return self.append(*events, *odd),
            What::Rename => {
                let known = std::mem::take(&mut self.known_channels);
                self.forgotten_channels.extend(known);
                let gone = Fault::NotFound;
                self.emulator.interrupt_polls(None, &gone);
            }
            What::Down { ms } => {
                self.down_until = now + Duration::from_millis(*ms);
                let reset = Fault::Reset;
                self.emulator.interrupt_polls(None, &reset);
            }
            What::HostDown { host, ms } => {
                let until = now + Duration::from_millis(*ms);
                let host = format!("{host}.realtime.services.box.net");
                self.hosts_down.insert(host, until);
            }
            What::Interrupt(fault) => {
                self.emulator.interrupt_polls(None, fault);
            }
            What::Revoke => {
                self.revoked.insert(self.current_token());
                let revoked = self.revoked.clone();
                self.emulator
                    .change_settings(|settings| settings.revoked_tokens = revoked);
            }
            What::ClockSet { seconds } => self.wall_jumps(*seconds),
            What::Sleeps { seconds } => {
                self.wall_jumps(*seconds);
                self.cut_off_all();
            }
            What::Crash { down_ms } => self.crashed = self.handle.as_ref().map(|_| *down_ms),
            What::Away { days } => {
                self.wall_jumps(i64::from(*days) * SECONDS_A_DAY);
                self.crashed = self.handle.as_ref().map(|_| 0);
            }
            What::StoreDown { ms } => self.store.down_until = now + Duration::from_millis(*ms),
            What::Stop => self.stop_wanted = true,
            other => self.violation = Some(format!("{other:?} needs an occasion, and not a time")),
        }
        let state = state(self.status().as_ref());
        self.meets(&what, state);
    }
}
