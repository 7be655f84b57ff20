//! Shrinks a failing scenario to the smallest one that still fails.
//!
//! It uses delta debugging for the incidents, and resets the climate field by field. Every try is a
//! complete run. It doesn't look for the same failure, only for any failure. Start at [`shrink`].

use crate::climate::Climate;
use crate::run::run;
use crate::scenario::Scenario;

/// Returns the scenario with the fewest incidents and the fairest climate that still fails in any
/// way.
pub(crate) fn shrink(failing: &Scenario) -> Scenario {
    let mut least = failing.clone();
    let fired = run(failing).fired;
    try_instead(&mut least, |scenario| {
        scenario.incidents = fired
            .iter()
            .map(|index| failing.incidents[*index].clone())
            .collect();
    });
    loop {
        let before = least.clone();
        drop_incidents(&mut least);
        fair_climate(&mut least);
        if least == before {
            return least;
        }
    }
}

/// Drops incidents by delta debugging: leaves out ever smaller parts of the list.
fn drop_incidents(least: &mut Scenario) {
    let mut part = least.incidents.len();
    while part > 0 {
        let mut from = 0;
        while from < least.incidents.len() {
            let to = (from + part).min(least.incidents.len());
            let dropped = try_instead(least, |scenario| drop(scenario.incidents.drain(from..to)));
            if !dropped {
                from = to;
            }
        }
        part /= 2;
    }
}

/// Resets each field of the climate to the fair value, one after the other.
fn fair_climate(least: &mut Scenario) {
    let json = |climate: &Climate| serde_json::to_value(climate).expect("plain data");
    let fair = json(&Climate::default());
    for (name, value) in fair.as_object().into_iter().flatten() {
        let mut fairer = json(&least.climate);
        if fairer[name] != *value {
            fairer[name] = value.clone();
            let climate = serde_json::from_value(fairer).expect("still a climate");
            try_instead(least, |scenario| scenario.climate = climate);
        }
    }
}

/// Changes the scenario if the changed one still fails. Returns `true` if it does.
fn try_instead(least: &mut Scenario, change: impl FnOnce(&mut Scenario)) -> bool {
    let mut other = least.clone();
    change(&mut other);
    let fails = other != *least && run(&other).failure.is_some();
    if fails {
        *least = other;
    }
    fails
}
