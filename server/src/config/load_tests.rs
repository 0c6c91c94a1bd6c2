use std::collections::BTreeMap;

use super::*;
use crate::config::{Listen, LogFormat};

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(FILE_NAME);
    std::fs::write(&path, text).expect("written");
    (directory, path)
}

fn address(text: &str) -> Listen {
    text.parse().expect("an address")
}

#[test]
fn the_default_file_says_what_the_defaults_are() {
    let path = Path::new("loom.default.toml");
    assert_eq!(
        parse(DEFAULT_FILE, path).expect("valid"),
        LoomConfig::default()
    );

    // And every setting stands in it: those without a default are written as comments.
    let uncommented: String = DEFAULT_FILE
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .fold(String::new(), |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        });
    let whole = parse(&uncommented, path).expect("the comments marked with `#:` are settings too");
    assert!(
        whole.server.data_dir.is_some()
            && whole.server.token_file.is_some()
            && whole.telemetry.export.is_some()
            && whole.genai.prices.is_some()
    );
    assert!(!whole.agents.is_empty());
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let (_directory, path) = file(
        "[server]\nbridge_addr = '127.0.0.1:1'\nhttp_addr = '127.0.0.1:2'\notlp_grpc_addr = 'off'",
    );
    let environment = environment(&[
        (env::LOOM_BRIDGE_ADDR, "127.0.0.1:3"),
        (env::LOOM_HTTP_ADDR, "127.0.0.1:4"),
    ]);
    let flags = Overrides {
        http_addr: Some(address("127.0.0.1:5")),
        ..Overrides::default()
    };
    let (config, _) = load(Some(&path), &environment, flags).expect("valid");
    assert_eq!(config.server.http_addr, Listen::loopback(5));
    assert_eq!(config.server.bridge_addr, Listen::loopback(3));
    assert_eq!(config.server.otlp_grpc_addr, Listen::Off);
    assert_eq!(config.server.otlp_http_addr, Listen::loopback(4318));
}

#[test]
fn a_data_directory_over_an_ephemeral_file_is_kept_and_the_other_way_round() {
    let (_directory, path) = file("[server]\nephemeral = true");
    let named = Overrides {
        data_dir: Some("kept".into()),
        ..Overrides::default()
    };
    let (config, _) = load(Some(&path), &environment(&[]), named).expect("valid");
    assert!(!config.server.ephemeral);

    let temporary = Overrides {
        ephemeral: Some(true),
        ..Overrides::default()
    };
    let (config, _) = load(
        None,
        &environment(&[(env::LOOM_DATA_DIR, "kept"), (env::LOOM_EPHEMERAL, "no")]),
        temporary,
    )
    .expect("valid");
    assert!(config.server.ephemeral);
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let (_directory, path) = file("[server]\n\nbrigde_addr = '127.0.0.1:1'");
    let error = load(Some(&path), &environment(&[]), Overrides::default())
        .expect_err("unknown")
        .to_string();
    assert!(
        error.contains("brigde_addr") && error.contains("line 3") && error.contains("bridge_addr"),
        "{error}"
    );
}

#[test]
fn a_wrong_value_is_named_with_what_to_write() {
    for (text, expected) in [
        ("[server]\nhttp_addr = '8080'", "ip:port"),
        ("[store]\nspool = 'large'", "64MiB"),
        ("[store]\nmax_age = 7", "like \"5s\""),
        ("[bus]\nbatched_capacity = 0", "bus.batched_capacity"),
        ("[log]\nformat = 'xml'", "human"),
        (
            "[server]\nhttp_addr = '127.0.0.1:50051'",
            "also server.bridge_addr",
        ),
        ("[telemetry]\nexport = 'localhost:4317'", "http://"),
        ("[server", "line 1"),
    ] {
        let (_directory, path) = file(text);
        let error = load(Some(&path), &environment(&[]), Overrides::default())
            .expect_err(text)
            .to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = load(
        None,
        &environment(&[(env::LOOM_HTTP_ADDR, "here")]),
        Overrides::default(),
    )
    .expect_err("wrong");
    assert!(matches!(
        error,
        ConfigError::Variable {
            name: env::LOOM_HTTP_ADDR,
            ..
        }
    ));
    let error = load(
        Some(Path::new("no/such/file")),
        &environment(&[]),
        Overrides::default(),
    )
    .expect_err("missing");
    assert!(matches!(error, ConfigError::Read { .. }));
}

#[test]
fn an_exposed_address_needs_a_token_or_the_word() {
    let exposed = || Overrides {
        bridge_addr: Some(address("0.0.0.0:50051")),
        ..Overrides::default()
    };
    let error = load(None, &environment(&[]), exposed()).expect_err("exposed");
    assert!(
        matches!(
            error,
            ConfigError::InsecureBind {
                key: "server.bridge_addr",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("--insecure-bind"));

    let insecure = Overrides {
        insecure_bind: Some(true),
        ..exposed()
    };
    assert!(
        load(None, &environment(&[]), insecure)
            .expect("allowed")
            .1
            .is_none()
    );

    let secret = environment(&[(env::LOOM_TOKEN, "0123456789abcdef")]);
    assert!(load(None, &secret, exposed()).expect("allowed").1.is_some());
    let weak = environment(&[(env::LOOM_TOKEN, "secret")]);
    assert!(matches!(
        load(None, &weak, exposed()),
        Err(ConfigError::Variable {
            name: env::LOOM_TOKEN,
            ..
        })
    ));
}

#[test]
fn paths_in_a_file_are_meant_from_the_file() {
    let (directory, path) =
        file("[server]\ndata_dir = 'data'\n[agents.a]\ncommand = 'x'\ncwd = 'sub'");
    let (config, _) = load(Some(&path), &environment(&[]), Overrides::default()).expect("valid");
    assert_eq!(config.server.data_dir, Some(directory.path().join("data")));
    assert_eq!(config.agents["a"].cwd, directory.path().join("sub"));
}

#[test]
fn prices_lie_beside_the_file_and_a_mistake_in_them_is_named() {
    let (directory, path) = file("[genai]\nprices = 'mine.toml'");
    let prices = directory.path().join("mine.toml");
    let read = || load(Some(&path), &environment(&[]), Overrides::default());
    let error = read().expect_err("it is not there").to_string();
    assert!(error.contains("mine.toml"), "{error}");
    let table = |price: &str| {
        format!(
            "[providers.me]\nnames = ['me']\n[providers.me.models]\nm = {{ input = {price} }}\n"
        )
    };
    std::fs::write(&prices, table("-1")).expect("written");
    let error = read().expect_err("a price is not negative").to_string();
    assert!(
        error.contains("mine.toml") && error.contains("line 4"),
        "{error}"
    );
    std::fs::write(&prices, table("1")).expect("written");
    let (config, _) = read().expect("good");
    assert_eq!(config.genai.prices, Some(prices));
}

#[test]
fn the_file_is_named_or_lies_in_the_directory() {
    let (directory, path) = file("");
    let none = environment(&[]);
    assert_eq!(find_file(None, directory.path(), &none), Some(path));
    assert_eq!(
        find_file(Some("named".into()), directory.path(), &none),
        Some("named".into())
    );
    let variable = environment(&[(env::LOOM_CONFIG, "variable")]);
    assert_eq!(
        find_file(None, directory.path(), &variable),
        Some("variable".into())
    );
    assert_eq!(find_file(None, Path::new("no/such/directory"), &none), None);
}

#[test]
fn the_environment_chooses_the_format_of_logs() {
    let (config, _) = load(
        None,
        &environment(&[(env::LOOM_LOG_FORMAT, "json")]),
        Overrides::default(),
    )
    .expect("valid");
    assert_eq!(config.log.format, LogFormat::Json);
}
