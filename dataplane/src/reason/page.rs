//! The lists as a page for people.

use super::{DropReason, PuntReason};

/// The text of `docs/drops.md`: every drop and punt reason as Markdown tables.
pub fn drops_page() -> String {
    let mut page = String::from(
        "# Drop and punt reasons\n\n\
         A packet that is not sent was dropped or punted, and is counted by port and reason.\n\
         `ironlane drop show` and `ironlane punt show` print the counters. This page is the\n\
         program's own list; a test compares the two.\n\n\
         ## Drops\n\n| reason | stage | meaning |\n| --- | --- | --- |\n",
    );
    for reason in DropReason::ALL {
        page += &format!("| `{reason}` | {} | {} |\n", reason.stage(), reason.help());
    }
    page += "\n## Punts\n\n\
             Rates are the defaults, packets a second over all lcores.\n\n\
             | reason | priority | rate | meaning |\n| --- | --- | --- | --- |\n";
    for reason in PuntReason::ALL {
        page += &format!(
            "| `{reason}` | {} | {} | {} |\n",
            reason.priority().name(),
            reason.default_rate_pps(),
            reason.help()
        );
    }
    page
}
