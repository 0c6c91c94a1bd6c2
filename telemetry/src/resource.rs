//! Whose spans they are: the attributes of an OTel resource.

use loom_proto::semconv::attribute;

use crate::env::{pairs, variable};
use crate::record::Value;

/// Name of the service; wins over everything else.
pub const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
/// More attributes, as `key1=value1,key2=value2` with percent-encoded values.
pub const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The resource of a service or an agent. Of a key that occurs several times the last of these counts:
///
/// 1. `service_name` and `instance_id` as given, `host.name` of the machine, `service.version` and `telemetry.sdk.*` of Loom
/// 2. `OTEL_RESOURCE_ATTRIBUTES`
/// 3. `extra`, set in code
/// 4. `OTEL_SERVICE_NAME`
///
/// The language of the SDK is `rust` unless `extra` says otherwise. A malformed `OTEL_RESOURCE_ATTRIBUTES` is ignored
/// as a whole, with one warning in the log.
///
/// ```
/// use loom_telemetry::resource::resource;
///
/// let environment = |name: &str| (name == "OTEL_SERVICE_NAME").then(|| "till".to_owned());
/// let attributes = resource("agent-7", "01890a5d", [], environment);
/// assert_eq!(attributes[0], ("service.name".into(), "till".to_owned().into()));
/// ```
pub fn resource(
    service_name: &str,
    instance_id: &str,
    extra: impl IntoIterator<Item = (Value, Value)>,
    get: impl Fn(&str) -> Option<String>,
) -> Vec<(Value, Value)> {
    let version = env!("CARGO_PKG_VERSION");
    let mut attributes: Vec<(Value, Value)> = vec![
        (
            attribute::SERVICE_NAME.into(),
            service_name.to_owned().into(),
        ),
        (
            attribute::SERVICE_INSTANCE_ID.into(),
            instance_id.to_owned().into(),
        ),
        (attribute::SERVICE_VERSION.into(), version.into()),
        (attribute::TELEMETRY_SDK_NAME.into(), "loom".into()),
        (attribute::TELEMETRY_SDK_LANGUAGE.into(), "rust".into()),
        (attribute::TELEMETRY_SDK_VERSION.into(), version.into()),
    ];
    // Jaeger takes it that the clocks of two spans differ, unless both are of the same machine and say so.
    if let Some(name) = host_name() {
        attributes.push((attribute::HOST_NAME.into(), name.into()));
    }
    let from_environment = variable(&get, RESOURCE_ATTRIBUTES).map(|text| pairs(&text));
    match from_environment.transpose() {
        Ok(list) => {
            for (key, value) in list.into_iter().flatten() {
                set(&mut attributes, key.into(), value.into());
            }
        }
        Err(error) => tracing::warn!("{RESOURCE_ATTRIBUTES} is ignored: {error}"),
    }
    for (key, value) in extra {
        set(&mut attributes, key, value);
    }
    if let Some(name) = variable(&get, SERVICE_NAME) {
        set(&mut attributes, attribute::SERVICE_NAME.into(), name.into());
    }
    attributes
}

/// Name of this machine, where it has one that is text.
fn host_name() -> Option<String> {
    let name = gethostname::gethostname().into_string().ok();
    name.filter(|name| !name.is_empty())
}

/// Compares keys as texts: a constant and a `String` may spell the same key.
fn set(attributes: &mut Vec<(Value, Value)>, key: Value, value: Value) {
    let same = |other: &&mut (Value, Value)| other.0.as_str() == key.as_str();
    match attributes.iter_mut().find(same) {
        Some(attribute) => attribute.1 = value,
        None => attributes.push((key, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource_in(
        variables: &[(&str, &str)],
        extra: impl IntoIterator<Item = (Value, Value)>,
    ) -> Vec<(Value, Value)> {
        resource("agent-7", "instance", extra, |name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    fn text<'a>(attributes: &'a [(Value, Value)], key: &str) -> Option<&'a str> {
        let mut found = attributes
            .iter()
            .filter(|(other, _)| other.as_str() == Some(key));
        let value = found.next()?.1.as_str();
        assert!(found.next().is_none(), "{key} stands once");
        value
    }

    #[test]
    fn loom_fills_in_what_nobody_says() {
        let plain = resource_in(&[], []);
        assert_eq!(text(&plain, "service.name"), Some("agent-7"));
        assert_eq!(text(&plain, "service.instance.id"), Some("instance"));
        assert_eq!(
            text(&plain, "service.version"),
            Some(env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(text(&plain, "telemetry.sdk.name"), Some("loom"));
        assert_eq!(text(&plain, "telemetry.sdk.language"), Some("rust"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_machine_is_named() {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("readable");
        let plain = resource_in(&[], []);
        let expected = Some(name.trim_end()).filter(|name| !name.is_empty());
        assert_eq!(text(&plain, "host.name"), expected);
    }

    #[test]
    fn the_later_source_wins() {
        let attributes = (
            RESOURCE_ATTRIBUTES,
            "service.name=shop,deployment.environment.name=a%20b,team=x,host.name=box",
        );
        let extra = || [(Value::from("team"), Value::from("y"))];
        let listed = resource_in(&[attributes], extra());
        assert_eq!(text(&listed, "service.name"), Some("shop"));
        assert_eq!(text(&listed, "deployment.environment.name"), Some("a b"));
        assert_eq!(text(&listed, "team"), Some("y"));
        assert_eq!(text(&listed, "host.name"), Some("box"));

        let named = resource_in(&[attributes, (SERVICE_NAME, "till")], extra());
        assert_eq!(text(&named, "service.name"), Some("till"));
    }

    #[test]
    fn a_malformed_list_is_ignored_as_a_whole() {
        let broken = resource_in(&[(RESOURCE_ATTRIBUTES, "service.name=shop,oops")], []);
        assert_eq!(text(&broken, "service.name"), Some("agent-7"));
    }
}
