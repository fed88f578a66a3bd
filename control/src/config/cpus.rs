//! Sets of CPUs as people write them: `1`, `"1-3,5"`, `[1, "4-6"]`.

use toml::de::DeValue;

/// Highest CPU number that is taken: EAL's lcore ids end here, and the last one is kept for the
/// floating main lcore.
pub const MAX_CPU: u16 = 126;

/// CPUs of `text`, such as `1-3,5`, in the order written.
pub(super) fn parse(text: &str) -> Result<Vec<u16>, String> {
    let bad = || format!("\"{text}\" is not a list of CPUs like 1-3,5");
    let number = |s: &str| s.trim().parse::<u16>().map_err(|_| bad());
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(format!("the range {} runs backwards", part.trim()));
        }
        if last > MAX_CPU {
            return Err(format!(
                "CPU {last} is beyond {MAX_CPU}, the highest that DPDK can use"
            ));
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

/// CPUs of a TOML value; an empty error says that the value is not of this kind.
pub(super) fn read(value: &DeValue<'_>) -> Result<Vec<u16>, String> {
    let cpus = match value {
        DeValue::Integer(number) => parse(number.as_str())?,
        DeValue::String(text) => parse(text)?,
        DeValue::Array(items) => {
            let mut cpus = Vec::new();
            for item in items {
                match item.get_ref() {
                    DeValue::Integer(number) => cpus.extend(parse(number.as_str())?),
                    DeValue::String(text) => cpus.extend(parse(text)?),
                    _ => return Err(String::new()),
                }
            }
            cpus
        }
        _ => return Err(String::new()),
    };
    for (i, cpu) in cpus.iter().enumerate() {
        if cpus[..i].contains(cpu) {
            return Err(format!("CPU {cpu} is given twice"));
        }
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lists_and_ranges_are_read() {
        assert_eq!(parse("1").unwrap(), [1]);
        assert_eq!(parse("1-3,5").unwrap(), [1, 2, 3, 5]);
        assert_eq!(parse(" 4 - 5 , 2").unwrap(), [4, 5, 2]);
    }

    #[test]
    fn what_is_no_list_of_cpus_is_refused() {
        for bad in ["", "a", "1-", "-1", "1,,2", "3-1", "200", "1..3"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
