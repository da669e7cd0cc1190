//! Which account a client uses and where the endpoint is: settings from code, the environment and
//! the profiles of the `phala` command line.

mod base_url;
mod environment;
mod hidden;
mod profiles;
mod settings;
mod sources;
mod user_setup;

pub use base_url::BaseUrl;
pub use environment::{
    API_KEY_VARIABLE, BASE_URL_VARIABLE, PROFILE_VARIABLE, PROFILES_VARIABLE, TOKEN_VARIABLE, WORKSPACE_VARIABLE,
};
pub use settings::{Settings, SettingsBuilder};
pub use sources::{Source, Sources};
pub use user_setup::profile_names;
