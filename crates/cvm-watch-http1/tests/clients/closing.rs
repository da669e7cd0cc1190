//! How soon a connection is gone.

use std::future::{Future, poll_fn};
use std::io::Read;
use std::net::TcpListener;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use cvm_watch_conformance::BlackHole;
use cvm_watch_sim::{Attempt, Sim};

use super::threads::{channel, on_thread, run_until};
use super::{LONG, client};
use crate::subject::{Client, Event, Failure, Update, WatchHandle};

const SOON: Duration = Duration::from_secs(2);

/// Contract row 21.
#[crate::runtime_test]
async fn an_abort_closes_the_socket_in_every_phase() {
    for (phase, script) in [
        ("before the head", Attempt::new().stall()),
        ("streaming", Attempt::stream().state("starting").stall()),
        ("in a flood", Attempt::stream().flood("event: state\ndata: {\"status\":\"starting\"}\n\n", 1 << 40)),
        ("reading an error", Attempt::new().head(404, &[]).stall()),
    ] {
        let sim = Sim::start().unwrap();
        sim.script("my-cvm", script);
        let client = Client::builder().base_url(sim.base_url()).build().unwrap();
        let log = sim.log().clone();
        let asked = on_thread(move || log.wait_for_requests(1, SOON).map(drop).unwrap());
        let outcome = client.watch("my-cvm", "running").abort_on(asked).await;
        let start = Instant::now();
        assert_eq!(outcome.unwrap_err().failure(), Some(&Failure::Aborted), "{phase}");
        sim.log().wait_until_idle(SOON).unwrap();
        assert!(start.elapsed() < SOON, "{phase}: the socket stayed open for {:?}", start.elapsed());
        assert_eq!(sim.log().requests().len(), 1, "{phase}");
    }
}

#[crate::runtime_test]
async fn an_abort_while_waiting_to_retry_makes_no_more_requests() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::new().refuse());
    let client = Client::builder().base_url(sim.base_url()).build().unwrap();
    let (abort, signal) = channel();
    let mut watch = client.watch("my-cvm", "running").retry_delay(Duration::from_secs(3600)).abort_on(signal);
    while let Some(update) = watch.next_update().await {
        if let Update::Retrying { .. } = update {
            break;
        }
    }
    abort(());
    assert_eq!(watch.await.unwrap_err().failure(), Some(&Failure::Aborted));
    assert_eq!(sim.log().requests().len(), 1);
}

/// Contract row 5.
#[crate::runtime_test]
async fn the_old_connection_is_closed_before_the_new_one_is_made() {
    let sim = Sim::builder().stream_limit(1).start().unwrap();
    // With room for one stream, a second connection beside the first would be answered by 429.
    sim.script("my-cvm", Attempt::stream().timeout("running", 300.0).stall());
    let client = Client::builder().base_url(sim.base_url()).build().unwrap();
    let watch = client.watch("my-cvm", "running").max_retries(5).retry_delay(Duration::from_millis(100));
    let error = watch.await.unwrap_err();
    assert!(error.to_string().contains("the server's timeout"), "{error}");
    assert_eq!((sim.log().requests().len(), sim.peak_streams()), (6, 1));
}

/// Polls once, as a select beside something else would; it must have to wait.
async fn begin(watch: &mut WatchHandle) {
    let mut next = pin!(watch.next_update());
    poll_fn(|cx| {
        assert!(next.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Contract row 21.
#[crate::runtime_test]
async fn an_abort_while_connecting_or_looking_up_the_name_is_heard_at_once() {
    let hole = BlackHole::new().unwrap();
    let base_of = |host: &str| format!("http://{host}/api/v1");
    for base in [base_of(&hole.addr().to_string()), base_of("cvm-watch.invalid")] {
        let client = Client::builder().base_url(base).allow_http(true).api_key("phak_1").no_proxy().build().unwrap();
        let (abort, signal) = channel();
        let mut watch = client.watch("my-cvm", "running").abort_on(signal);
        assert!(matches!(watch.next_update().await, Some(Update::Connecting { .. })));
        begin(&mut watch).await;
        abort(());
        // The next poll has to end it, even if the system is still busy.
        let mut outcome = pin!(watch.into_future());
        let outcome = poll_fn(|cx| Poll::Ready(outcome.as_mut().poll(cx))).await;
        let Poll::Ready(Err(error)) = outcome else { panic!("still {outcome:?}") };
        assert_eq!(error.failure(), Some(&Failure::Aborted));
    }
}

/// Contract row 21.
#[crate::runtime_test]
async fn an_abort_before_the_start_makes_no_request() {
    let sim = Sim::start().unwrap();
    let client = Client::builder().base_url(sim.base_url()).build().unwrap();
    let error = client.watch("my-cvm", "running").abort_on(std::future::ready(())).await.unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::Aborted));
    drop(client.watch("my-cvm", "running"));
    assert_eq!((sim.log().connections().len(), sim.log().requests().len()), (0, 0));
}

/// Contract row 21.
#[crate::runtime_test]
async fn dropping_the_future_or_the_handle_closes_the_socket_in_every_phase() {
    for (phase, script) in [
        ("before the head", Attempt::new().stall()),
        ("streaming", Attempt::stream().state("starting").stall()),
        ("in a flood", Attempt::stream().flood("event: state\ndata: {\"status\":\"starting\"}\n\n", 1 << 40)),
        ("in a flood of comments", Attempt::stream().flood(": nothing\n", 1 << 40)),
        ("reading an error", Attempt::new().head(404, &[]).stall()),
    ] {
        for as_future in [true, false] {
            let sim = Sim::start().unwrap();
            sim.script("my-cvm", script.clone());
            let client = Client::builder().base_url(sim.base_url()).build().unwrap();
            let mut watch = client.watch("my-cvm", "running");
            let log = sim.log().clone();
            let asked = on_thread(move || log.wait_for_requests(1, SOON).map(drop).unwrap());
            if as_future {
                run_until(asked, watch.into_future()).await;
            } else {
                run_until(asked, async { while watch.next_update().await.is_some() {} }).await;
                drop(watch);
            }
            sim.log().wait_until_idle(SOON).unwrap();
            assert_eq!(sim.log().requests().len(), 1, "{phase}");
        }
    }
}

/// Contract row 21.
#[crate::runtime_test]
async fn an_abort_is_noticed_in_a_flood_and_no_event_follows_it() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().flood("event: state\ndata: {\"status\":\"starting\"}\n\n", 1 << 40));
    let (abort, signal) = channel();
    let mut abort = Some(abort);
    let mut events = 0;
    let watch = client(&sim).watch("my-cvm", "running").on_event(move |_| {
        events += 1;
        if events == 100 {
            abort.take().unwrap()(());
        }
        assert!(events <= 100, "an event came after the abort");
    });
    assert_eq!(watch.abort_on(signal).await.unwrap_err().failure(), Some(&Failure::Aborted));
    assert!(sim.log().wait_until_closed(1, LONG).unwrap().left_by_client());
}

/// Contract row 21.
#[crate::runtime_test]
async fn an_abort_during_the_tls_handshake_closes_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let client = Client::builder().base_url(base).root_certificates(authority).build().unwrap();
    let (kept, keep) = std::sync::mpsc::channel();
    // The signal is the first byte of the handshake, which is never answered.
    let begun = on_thread(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.read_exact(&mut [0]).unwrap();
        kept.send(socket).unwrap();
    });
    let error = client.watch("my-cvm", "running").abort_on(begun).await.unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::Aborted));
    super::assert_closed(keep.recv().unwrap());
}

#[crate::runtime_test]
async fn an_event_is_there_while_the_server_still_holds_the_stream() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().state("starting").stall());
    let mut watch = client(&sim).watch("my-cvm", "running");
    let state = loop {
        if let Some(Update::Event { event: Event::State(state), .. }) = watch.next_update().await {
            break state;
        }
    };
    assert_eq!((state.status.as_str(), sim.log().open_connections()), ("starting", 1));
    drop(watch);
    assert!(sim.log().wait_until_closed(1, LONG).unwrap().left_by_client());
}
