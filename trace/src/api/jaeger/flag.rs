//! Flags in an address, as Go reads them.

use super::super::error::Problem;
use super::super::params::Params;

/// The flag of the first of these names that has a value; false where none has.
pub(super) fn flag<const N: usize>(params: &Params, names: [&str; N]) -> Result<bool, Problem> {
    let said = names.into_iter().find(|name| params.text(name).is_some());
    let Some(name) = said else {
        return Ok(false);
    };
    let flag = params.parse(name, |text| match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("must be true or false, got {text:?}")),
    })?;
    Ok(flag.unwrap_or(false))
}
