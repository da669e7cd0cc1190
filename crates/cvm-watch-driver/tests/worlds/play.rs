//! Plays one world from its seed to the end of every watch in it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::faults::Fault;
use crate::life::Life;
use crate::random::Random;
use crate::server::Server;
use crate::user::{Rules, User};
use crate::weather::Weather;
use crate::world::{LawsOfTime, MILLI, MINUTE, Nanos, SECOND, World, shown};

/// The most users of one world.
const MAX_USERS: u64 = 9;

/// What came of a world.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Played {
    /// Of all that happened.
    pub(crate) hash: u64,
    pub(crate) notes: u64,
    pub(crate) lasted: Nanos,
    pub(crate) watches: u64,
    pub(crate) reached: u64,
    pub(crate) connections: u64,
    pub(crate) events: u64,
    pub(crate) polls: u64,
    pub(crate) most_streams: usize,
}

/// Plays the world of `seed`; what it breaks, if it breaks a law, and what happened before, if
/// that is wanted.
pub(crate) fn play(seed: u64, fault: Option<Fault>, keep_text: bool) -> (Result<Played, String>, String) {
    let mut random = Random::new(seed, 0);
    let weather = Weather::new(&mut random);
    let laws_of_time = LawsOfTime {
        slack: if weather.late_sleeps { random.between(1, 5 * MILLI) } else { 0 },
        sleeps_nap_too: random.chance(50),
    };
    let world = World::new(laws_of_time, fault, keep_text);
    quiet(true);
    let played = catch_unwind(AssertUnwindSafe(|| people(seed, &world, weather, random)));
    quiet(false);
    world.end();
    let played = played.map_err(|panic| match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("a panic without words").to_owned(),
    });
    (played, world.text())
}

/// Whether this thread's panics are told to nobody but who catches them.
fn quiet(on: bool) {
    static HOOK: Once = Once::new();
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                usual(panic);
            }
        }));
    });
    QUIET.set(on);
}

fn people(seed: u64, world: &World, weather: Weather, mut random: Random) -> Played {
    let users = if random.chance(15) { random.between(2, MAX_USERS) } else { 1 };
    let target = random.pick(&["running", "running", "running", "stopped", "error"]);
    let clears_up = weather.clears_up;
    let lives = (0..users).map(|user| (format!("cvm-{user}"), Life::new(&mut random, target, clears_up)));
    let lives: BTreeMap<_, _> = lives.collect();
    let server = Server::new(world.clone(), weather, seed, lives);
    let one_key = random.chance(50);
    let mut users: Vec<User> = (0..users)
        .map(|user| {
            let key = format!("phak_{}", if one_key { 0 } else { user / 4 });
            let rules = Rules::new(&mut random, target);
            User::new(&server, format!("cvm-{user}"), key, rules, &mut random)
        })
        .collect();
    live(world, &server, &mut users, &mut random);
    Played {
        hash: world.hash(),
        notes: world.notes(),
        lasted: world.now(),
        watches: users.len() as u64,
        reached: users.iter().map(|user| user.reached).sum(),
        connections: server.connections(),
        events: users.iter().map(User::events).sum(),
        polls: users.iter().map(User::polls).sum(),
        most_streams: server.most_streams(),
    }
}

/// Lets everything happen, until all watches are over.
fn live(world: &World, server: &Server, users: &mut [User], random: &mut Random) {
    let all_over_by = all_over_by(server, users);
    let together = random.chance(50);
    // A runtime may poll at any time, for reasons of its own.
    let restless = random.chance(15);
    let mut next_nap = (server.weather.naps > 0).then(|| random.between(SECOND, 10 * MINUTE));
    loop {
        while !world.naps() && users.iter_mut().filter_map(|user| user.turn().then_some(())).count() > 0 {}
        if users.iter().all(User::is_done) {
            return;
        }
        if let Some(at) = next_nap
            && at <= world.now()
            && !world.naps()
        {
            let length = random.pick(&[SECOND, 40 * SECOND, 20 * MINUTE, 8 * 60 * MINUTE]);
            next_nap = Some(world.now() + length + random.between(SECOND, 20 * MINUTE));
            if world.now() < server.weather.clears_up {
                world.nap(length);
                users.iter_mut().for_each(|user| user.nap(random));
            }
        }
        assert!(world.step(Nanos::MAX), "nothing will happen any more, and a watch still waits");
        // Of what happens at one moment the machine sees all at once, or one after the other.
        while together && world.step(world.now()) {}
        if restless && random.chance(10) {
            users.iter_mut().for_each(User::nudge);
        }
        assert!(
            world.now() <= all_over_by,
            "all is well since {}, and a watch still goes on at {}",
            shown(server.weather.clears_up),
            shown(world.now())
        );
    }
}

/// When the last watch must have ended, since all is well: the attempt that was under way is lost,
/// the streams that the server still holds for lost clients end, and then the users are let in one
/// after the other.
fn all_over_by(server: &Server, users: &[User]) -> Nanos {
    let attempt = 610 * SECOND;
    let held = (600 + 60 + 70 + 80) * SECOND;
    let nap = if server.weather.naps > 0 { 8 * 60 * MINUTE } else { 0 };
    let slow = 3 * MINUTE;
    let rounds: Nanos = users.iter().map(|user| user.rules().longest_delay() + 2 * MINUTE).sum();
    let longest = users.iter().map(|user| user.rules().longest_delay()).max().unwrap_or(0);
    server.weather.clears_up + attempt + held + nap + slow + rounds + longest
}
