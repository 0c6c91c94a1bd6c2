use std::fs;

use axum::body::to_bytes;
use tempfile::TempDir;

use super::*;

const PAGE: &str = "<html><head><script>
    JAEGER_CONFIG = DEFAULT_CONFIG;
    JAEGER_VERSION = DEFAULT_VERSION;
    JAEGER_BACKEND_CAPABILITIES = DEFAULT_BACKEND_CAPABILITIES;
</script></head></html>";

/// A stand-in for a bundle of Jaeger: the markers of its page, a script, and what a bundle does not have.
fn stand_in() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("index.html"), PAGE).expect("written");
    fs::create_dir(dir.path().join("static")).expect("made");
    fs::write(dir.path().join("static/app-1a2b.js"), "run()").expect("written");
    fs::write(dir.path().join("logo.svg"), "<svg/>").expect("written");
    dir
}

fn open(dir: &TempDir) -> Result<Bundle, BundleError> {
    Bundle::open(dir.path())
}

async fn get(bundle: &Arc<Bundle>, path: &str) -> (StatusCode, HeaderMap, String) {
    let response = file(State(Arc::clone(bundle)), Path(path.to_owned())).await;
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let body = String::from_utf8_lossy(&body).into_owned();
    (head.status, head.headers, body)
}

#[tokio::test]
async fn files_and_pages() {
    let dir = stand_in();
    let bundle = Arc::new(open(&dir).expect("a bundle"));
    let (status, headers, body) = get(&bundle, "static/app-1a2b.js").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "run()"));
    assert_eq!(headers[header::CONTENT_TYPE], kind("x.js"));
    let cache = headers[header::CACHE_CONTROL].to_str().expect("text");
    assert!(cache.contains("immutable"), "{cache}");
    let (_, headers, _) = get(&bundle, "logo.svg").await;
    assert_eq!(headers[header::CONTENT_TYPE], "image/svg+xml");
    assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
    for path in [
        "search",
        "trace/abc",
        "trace/a...b",
        "monitor",
        "index.html",
    ] {
        let (status, headers, body) = get(&bundle, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], POLICY);
        for expected in [
            "\"metricsStorage\":true",
            "\"searchWithoutServiceName\":true",
            "\"gitVersion\":\"loom ",
            "/trace/#{traceID}",
        ] {
            assert!(body.contains(expected), "{expected}: {body}");
        }
    }
}

#[tokio::test]
async fn nothing_outside_of_the_bundle_is_served() {
    let outside = tempfile::tempdir().expect("a folder");
    let secret = outside.path().join("secret.txt");
    fs::write(&secret, "secret").expect("written");
    let dir = stand_in();
    let link = |name: &str, to: &std::path::Path| {
        std::os::unix::fs::symlink(to, dir.path().join(name)).expect("linked");
    };
    link("static/link.txt", &secret);
    link("folder", outside.path());
    let huge = fs::File::create(dir.path().join("huge.bin")).expect("made");
    // A hole: it takes no room on the disk.
    huge.set_len(1 << 30).expect("grown");
    let bundle = Arc::new(open(&dir).expect("a bundle"));
    for path in [
        "static/link.txt",
        "folder/secret.txt",
        "huge.bin",
        "../secret.txt",
        "static/../../secret.txt",
        "../../etc/passwd",
        "static/nothing.js",
        "static/nothing",
        "static//app-1a2b.js",
        "/static/app-1a2b.js",
        "static\\app-1a2b.js",
        "api/nothing",
        "api",
    ] {
        let (status, _, body) = get(&bundle, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {body}");
    }
    // What was a file at the start is a link now.
    fs::remove_file(dir.path().join("logo.svg")).expect("removed");
    link("logo.svg", &secret);
    assert_eq!(get(&bundle, "logo.svg").await.0, StatusCode::NOT_FOUND);
}

#[test]
fn what_is_no_bundle_is_refused_at_the_start() {
    let empty = tempfile::tempdir().expect("a folder");
    let error = open(&empty).expect_err("refused").to_string();
    assert!(error.contains("index.html"), "{error}");
    fs::write(empty.path().join("index.html"), "<html></html>").expect("written");
    let error = open(&empty).expect_err("refused").to_string();
    assert!(error.contains("JAEGER_CONFIG"), "{error}");
    fs::write(empty.path().join("index.html"), [0xff]).expect("written");
    assert!(matches!(open(&empty), Err(BundleError::NoIndex { .. })));
    let nowhere = Bundle::open(&empty.path().join("nowhere"));
    assert!(matches!(nowhere, Err(BundleError::Read { .. })));
}

#[tokio::test]
async fn its_routes_and_those_of_the_api_stand_beside_each_other() {
    let config = loom_trace::Config {
        ephemeral: true,
        ..loom_trace::Config::default()
    };
    let store = TraceStore::open(config).expect("opens");
    let bundle = open(&stand_in()).expect("a bundle");
    // It would panic if two of them were the same.
    let router = routes(bundle, store, loom_trace::ApiConfig::default());
    assert!(router.has_routes());
}
