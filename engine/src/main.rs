//! The `megaping` command.

use std::process::ExitCode;

use megaping::cli::{self, Request};
use megaping::say::say;
use megaping::{archive, capture, daemon, doctor, mtr, query, report, run, schema, trace, upload};

fn main() -> ExitCode {
    let request = match cli::parse_from(std::env::args_os()) {
        Ok(request) => request,
        Err(error) => error.exit(),
    };
    let result = match request {
        Request::Ping(options) => run::ping(&options).map_err(|error| error.to_string()).map(|finish| {
            finish.print(options.summary);
            finish.exit_code()
        }),
        Request::Mtr(options) => mtr::run(&options).map_err(|error| error.to_string()),
        Request::Trace(options) => trace::run(&options).map_err(|error| error.to_string()),
        Request::Run(options) => daemon::run(&options).map_err(|error| error.to_string()),
        Request::Config(request) => daemon::config::run(&request).map_err(|error| error.to_string()),
        Request::Control(request) => daemon::control::run(&request).map_err(|error| error.to_string()),
        Request::Report(options) => report::run(&options).map_err(|error| error.to_string()),
        Request::Query(options) => query::run(&options).map_err(|error| error.to_string()),
        Request::Doctor(options) => doctor::run(&options).map_err(|error| error.to_string()),
        Request::Archive(options) => archive::run(&options).map_err(|error| error.to_string()),
        Request::Freeze(socket, file) => capture::freeze(&socket, &file).map_err(|error| error.to_string()),
        Request::Upload(options) => upload::run(&options).map_err(|error| error.to_string()),
        Request::Schema(request) => schema::run(request).map_err(|error| error.to_string()),
    };
    result.unwrap_or_else(|message| {
        say(format_args!("megaping: {message}"));
        ExitCode::from(2)
    })
}
