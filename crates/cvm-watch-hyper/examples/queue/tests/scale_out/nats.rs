//! A NATS server with JetStream, which can be restarted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Nats {
    server: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Nats {
    /// Starts the server; `None` where there is no such program.
    pub fn start() -> Option<Self> {
        Command::new("nats-server").arg("--version").stdout(Stdio::null()).status().ok()?;
        let folder = std::env::temp_dir().join(format!("cvm-watch-queue-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let server = spawn(&folder, "-1");
        let ports = folder.join(format!("nats-server_{}.ports", server.id()));
        let mut this = Self { server, address: SocketAddr::from(([127, 0, 0, 1], 0)), folder };
        let began = Instant::now();
        loop {
            let text = std::fs::read_to_string(&ports).unwrap_or_default();
            if let Ok(ports) = serde_json::from_str::<serde_json::Value>(&text) {
                this.address = ports["nats"][0].as_str().unwrap().trim_start_matches("nats://").parse().unwrap();
                return Some(this);
            }
            assert!(began.elapsed() < Duration::from_secs(60), "nats-server names no port");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// Ends the server, and starts it again on the same port with the same files.
    pub fn restart(&mut self) {
        let pid = self.server.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.server.wait().unwrap();
        self.server = spawn(&self.folder, &self.address.port().to_string());
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(folder: &PathBuf, port: &str) -> Child {
    Command::new("nats-server")
        .args(["--addr", "127.0.0.1", "--port", port, "--jetstream", "--store_dir"])
        .arg(folder.join("store"))
        .arg("--ports_file_dir")
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
