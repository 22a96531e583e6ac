//! `cloakroom schema`: the JSON Schema of the configuration, for editors; or the tables of the session store, for those who
//! make them by hand.
//!
//! Comes in: nothing, or which database. Goes out: JSON or SQL on standard output. Never reads a configuration.

use std::process::ExitCode;

use crate::session::sql::Dialect;

/// Arguments: which schema.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the tables that `session.store: sql` needs, as SQL
    #[arg(long, value_name = "DIALECT")]
    sql: Option<Database>,
}

/// A kind of database.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
    /// And MariaDB
    Mysql,
}

/// Prints the schema.
pub fn run(args: Args) -> ExitCode {
    let Some(database) = args.sql else {
        return super::print(&format!("{:#}\n", crate::config::schema()));
    };
    let dialect = match database {
        Database::Sqlite => Dialect::Sqlite,
        Database::Postgres => Dialect::Postgres,
        Database::Mysql => Dialect::Mysql,
    };
    super::print(&dialect.schema_from(0).collect::<Vec<_>>().join("\n"))
}
