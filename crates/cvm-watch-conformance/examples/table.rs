//! Runs the suite on both clients and prints the table of `docs/write-a-transport.md`:
//! `cargo run -p cvm-watch-conformance --example table`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use cvm_watch_conformance::{Report, Setup, Suite, Verdict};
use cvm_watch_driver::NetworkTransport;
use cvm_watch_hyper::HyperTransport;
use cvm_watch_surf::SurfTransport;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hyper = runtime.block_on(run::<HyperTransport>());
    let surf = async_std::task::block_on(Box::pin(run::<SurfTransport>()));
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

async fn run<T: NetworkTransport>() -> Report {
    Suite::new(Setup::transport::<T>).run().await
}
