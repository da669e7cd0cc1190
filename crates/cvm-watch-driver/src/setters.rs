//! The setters that both handles have.

/// Methods that pass a setting on to the policy, named as in `PolicyBuilder`.
macro_rules! policy_setters {
    ($($(#[doc = $text:literal])+ $name:ident($value:ident: $type:ty);)+) => {$(
        $(#[doc = $text])+
        ///
        #[doc = concat!("See [`PolicyBuilder::", stringify!($name), "`](cvm_watch_core::PolicyBuilder::", stringify!($name), ").")]
        pub fn $name(self, $value: $type) -> Self {
            self.configure(|policy| policy.$name($value))
        }
    )+};
}

/// The setters of both handles, whose field `handle` is a [`Handle`](crate::handle::Handle).
macro_rules! setters {
    () => {
        crate::setters::policy_setters! {
            /// How often the server checks the CVM: whole seconds, 5 to 30; 5 by default.
            interval(interval: core::time::Duration);
            /// The per-attempt time limit after which the server ends a stream and the watch reconnects:
            /// whole seconds, 10 to 600; 300 by default. [`deadline`](Self::deadline) limits the whole
            /// watch.
            timeout(timeout: core::time::Duration);
            /// How many retries may follow the first attempt; no limit by default.
            max_retries(retries: u64);
            /// The exact delay before each retry, zero included. By default 5 seconds or the server's `retry:`, with
            /// jitter.
            retry_delay(delay: core::time::Duration);
            /// Makes the delay grow with each failed attempt in a row.
            backoff(backoff: cvm_watch_core::Backoff);
            /// The time limit for an attempt until its response head has arrived.
            connect_timeout(timeout: core::time::Duration);
            /// How long a stream may stay silent; off by default.
            idle_timeout(timeout: core::time::Duration);
            /// The time limit for the whole watch, retries included; off by default.
            deadline(deadline: core::time::Duration);
            /// How long the watch waits for `complete` after a state at the target; 2 seconds by default.
            complete_grace(grace: core::time::Duration);
            /// Fails the watch once the CVM can no longer reach the target; off by default.
            fail_early(early: cvm_watch_core::FailEarly);
            /// Whether the target `running` counts only once the CVM has booted; off by default.
            ready(ready: bool);
            /// The target counts only after another status, or after it was the only status for this long;
            /// off by default.
            after_change(steady: core::time::Duration);
            /// Adds a status that counts as the target too.
            or_target(target: impl Into<String>);
            /// Lets a predicate decide which state counts as the target.
            target_when(holds: impl Fn(&cvm_watch_core::CvmState) -> bool + Send + Sync + 'static);
            /// How long a CVM may be missing (HTTP 404); off by default.
            wait_for_create(time: core::time::Duration);
            /// How long the target must be seen without another status before it counts; off by default.
            stable_for(time: core::time::Duration);
            /// Ends the watch when the server reports, but nothing has changed for this long; off by default.
            stall_timeout(timeout: core::time::Duration);
            /// How the watch learns of the status; from event streams by default.
            mode(mode: cvm_watch_core::Mode);
            /// The size limit of one event: 1 byte to 1 GiB; 4 MiB by default.
            max_event_bytes(bytes: usize);
            /// Whether events keep the server's JSON text; off by default.
            keep_raw(keep: bool);
            /// Adds a secret that the server could repeat; it is redacted.
            redact(secret: &str);
        }

        /// Checks once, in immediate mode, and ends with the state that the server returns.
        ///
        /// See [`PolicyBuilder::single_check`](cvm_watch_core::PolicyBuilder::single_check).
        pub fn single_check(self) -> Self {
            self.configure(cvm_watch_core::PolicyBuilder::single_check)
        }

        /// Adds a request header, whose value counts as a secret.
        ///
        /// See [`PolicyBuilder::header`](cvm_watch_core::PolicyBuilder::header).
        pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.configure(|policy| policy.header(name, value))
        }

        /// Changes the policy with any of the methods of
        /// [`PolicyBuilder`](cvm_watch_core::PolicyBuilder).
        pub fn configure(
            mut self,
            change: impl FnOnce(cvm_watch_core::PolicyBuilder) -> cvm_watch_core::PolicyBuilder,
        ) -> Self {
            self.handle.plan(|plan| plan.configure(change));
            self
        }

        /// The seed of the jitter in retry delays; random by default. For tests.
        pub fn seed(mut self, seed: u64) -> Self {
            self.handle.plan(|plan| plan.seed = Some(seed));
            self
        }

        /// Aborts with [`Failure::Aborted`](cvm_watch_core::Failure::Aborted) as soon as `signal` completes, with any
        /// output. The connection is closed by then.
        ///
        /// A signal that is not `Send` can be awaited beside the handle instead; dropping the handle aborts too.
        pub fn abort_on<F>(mut self, signal: F) -> Self
        where
            F: Future + Send + 'static,
        {
            self.handle.plan(|plan| {
                plan.abort = Some(Box::pin(async move {
                    signal.await;
                }));
            });
            self
        }

        /// Shows `observer` every call of the core and its answers, in order: what a recording needs. It
        /// sees secrets unredacted.
        pub fn observe<F>(mut self, observer: F) -> Self
        where
            F: FnMut(crate::Observed<'_>) + Send + 'static,
        {
            self.handle.plan(|plan| plan.observer = Some(Box::new(observer)));
            self
        }
    };
}

pub(crate) use {policy_setters, setters};
