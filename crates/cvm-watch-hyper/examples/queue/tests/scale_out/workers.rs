//! The workers, as processes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::nats::Nats;
use crate::proxy::Proxy;

pub struct Workers {
    workers: Vec<Worker>,
    /// The worker that holds each key, by what the workers have printed.
    owners: Arc<Mutex<BTreeMap<String, usize>>>,
    metrics: Arc<Mutex<BTreeMap<usize, String>>>,
}

struct Worker {
    process: Option<Child>,
    proxy: Proxy,
}

impl Workers {
    pub async fn start(count: usize, nats: &Nats, config: &Value) -> Self {
        let mut this = Self { workers: Vec::new(), owners: Arc::default(), metrics: Arc::default() };
        for number in 0..count {
            let proxy = Proxy::start(nats.address()).await;
            let mut config = config.clone();
            config["nats"] = json!(proxy.address.to_string());
            // In the real thing they are the same; here they show whose stream it was.
            for (key, secret) in config["keys"].as_object_mut().unwrap() {
                *secret = json!(format!("{key}/{number}"));
            }
            let path = nats.folder().join(format!("worker-{number}.json"));
            std::fs::write(&path, config.to_string()).unwrap();
            let mut process = Command::new(env!("CARGO_BIN_EXE_cvm-watch-queue"))
                .arg(&path)
                .stdout(Stdio::piped())
                .stderr(Stdio::inherit())
                .spawn()
                .unwrap();
            let lines = BufReader::new(process.stdout.take().unwrap()).lines();
            let (owners, metrics) = (Arc::clone(&this.owners), Arc::clone(&this.metrics));
            std::thread::spawn(move || {
                lines.map_while(Result::ok).for_each(|line| read(number, &line, &owners, &metrics))
            });
            this.workers.push(Worker { process: Some(process), proxy });
        }
        this
    }

    pub fn owners(&self) -> BTreeMap<String, usize> {
        self.owners.lock().unwrap().clone()
    }

    /// Kills a worker with SIGKILL.
    pub fn kill(&mut self, number: usize) {
        let mut process = self.workers[number].process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        self.owners.lock().unwrap().retain(|_, owner| *owner != number);
        self.metrics.lock().unwrap().remove(&number);
    }

    pub fn set_partitioned(&self, number: usize, partitioned: bool) {
        self.workers[number].proxy.set_partitioned(partitioned);
    }

    /// What Prometheus reads of each worker that runs.
    pub fn metrics(&self) -> Vec<String> {
        let addresses: Vec<String> = self.metrics.lock().unwrap().values().cloned().collect();
        addresses.into_iter().map(|address| get(&address)).collect()
    }

    /// Ends the workers that run, which give their leases back first.
    pub async fn stop(&mut self) {
        for worker in &mut self.workers {
            let Some(mut process) = worker.process.take() else { continue };
            let pid = process.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
            // The proxies run on this runtime.
            let status = tokio::task::spawn_blocking(move || process.wait()).await.unwrap().unwrap();
            assert!(status.success(), "{status}");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for mut process in self.workers.iter_mut().filter_map(|worker| worker.process.take()) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn read(number: usize, line: &str, owners: &Mutex<BTreeMap<String, usize>>, metrics: &Mutex<BTreeMap<usize, String>>) {
    println!("worker {number}: {line}");
    if let Some(address) = line.strip_prefix("metrics: http://") {
        metrics.lock().unwrap().insert(number, address.trim_end_matches("/metrics").to_owned());
    } else if let Some(key) = line.strip_prefix("key ").and_then(|line| line.strip_suffix(": acquired")) {
        owners.lock().unwrap().insert(key.to_owned(), number);
    } else if let Some(key) = line.strip_prefix("key ").and_then(|line| line.strip_suffix(": released")) {
        let mut owners = owners.lock().unwrap();
        // The next owner's line may come first.
        if owners.get(key) == Some(&number) {
            owners.remove(key);
        }
    }
}

fn get(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}
