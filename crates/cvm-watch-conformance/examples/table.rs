//! Runs the suite on both clients and prints the table of `docs/transports.md`:
//! `cargo run -p cvm-watch-conformance --example table`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use cvm_watch_conformance::{Report, Suite, Verdict};
use cvm_watch_driver::BaseUrl;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hyper = runtime.block_on(hyper());
    let surf = async_std::task::block_on(Box::pin(surf()));
    println!("| scenario | what it asks of a transport | hyper | surf |\n|---|---|---|---|");
    for (hyper, surf) in hyper.findings().iter().zip(surf.findings()) {
        println!("| `{}` | {} | {} | {} |", hyper.name, hyper.claim, word(&hyper.verdict), word(&surf.verdict));
    }
    hyper.assert_passed();
    surf.assert_passed();
    Ok(())
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passes",
        Verdict::Failed { .. } => "**fails**",
        _ => "skipped",
    }
}

async fn hyper() -> Report {
    let suite = Suite::new(|setup| {
        let builder = cvm_watch_hyper::TransportBuilder::new().no_proxy();
        let builder = setup.authority_pem.iter().fold(builder, cvm_watch_hyper::TransportBuilder::root_certificates);
        Ok((builder.build(&BaseUrl::parse(&setup.base_url)?)?.0, cvm_watch_hyper::TokioTimer::new()))
    });
    suite.run().await
}

async fn surf() -> Report {
    let suite = Suite::new(|setup| {
        let builder = cvm_watch_surf::TransportBuilder::new().no_proxy();
        let builder = setup.authority_pem.iter().fold(builder, cvm_watch_surf::TransportBuilder::root_certificates);
        Ok((builder.build(&BaseUrl::parse(&setup.base_url)?)?.0, cvm_watch_surf::AsyncStdTimer::new()))
    });
    suite.run().await
}
