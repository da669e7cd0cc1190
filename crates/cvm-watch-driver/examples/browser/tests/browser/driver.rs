//! Headless Chromium, over ChromeDriver's WebDriver protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    /// Starts a browser; `None` where there is none.
    pub fn start() -> Option<Self> {
        Command::new("chromium").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        let mut driver =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut lines = BufReader::new(driver.stdout.take()?).lines().map_while(Result::ok);
        // "ChromeDriver was started successfully on port 40123."
        let port =
            lines.find_map(|line| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse().ok())?;
        std::thread::spawn(move || lines.for_each(drop));
        let mut this = Self { driver, port, session: String::new() };
        let options = json!({"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]});
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "SEVERE"},
        }}});
        let session = this.request("POST", "/session", &capabilities);
        this.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        Some(this)
    }

    pub fn open(&self, url: &str) {
        self.request("POST", &format!("{}/url", self.session), &json!({ "url": url }));
    }

    /// Runs the body of a function in the page; returns what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.request("POST", &format!("{}/execute/sync", self.session), &json!({"script": script, "args": []}))
    }

    /// What scripts of the page failed with; failed requests are the simulator's doing.
    pub fn errors(&self) -> Value {
        let log = self.request("POST", &format!("{}/se/log", self.session), &json!({"type": "browser"}));
        log.as_array().unwrap().iter().filter(|entry| entry["source"] != "network").cloned().collect()
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let value = self.try_request(method, path, body).unwrap();
        assert!(value.get("error").is_none(), "{method} {path}: {value}");
        value
    }

    fn try_request(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Value> {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line)? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
            line.clear();
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        Ok(answer["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without its session the browser ends; ChromeDriver does not end it when it is killed.
        if !self.session.is_empty() {
            let _ = self.try_request("DELETE", &self.session, &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
