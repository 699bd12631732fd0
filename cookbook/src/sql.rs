//! sqlx: a pool whose new connections have the latest token as their password (Azure Database, RDS and similar).

use client_credentials::{Changes, Error};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

/// For as long as it is polled. Connections that are open stay open: limit their age by `PgPoolOptions::max_lifetime`.
pub async fn keep(pool: PgPool, options: PgConnectOptions, mut changes: Changes) -> Result<(), Error> {
    loop {
        let token = changes.next().await?;
        pool.set_connect_options(options.clone().password(token.expose_secret()));
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use sqlx::postgres::PgPoolOptions;
    use sqlx::{AssertSqlSafe, Connection, PgConnection};

    use super::*;
    use crate::support::{Daemon, MINUTE, free_port, next_after, start, text};

    /// Where Debian has the server, which does not run as root.
    fn binaries() -> Option<PathBuf> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).find(|bin| bin.join("initdb").exists())
    }

    fn as_user(program: &Path, arguments: &[&str]) -> Vec<String> {
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        let user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];
        let user = user.iter().copied().filter(|_| is_root);
        user.chain([text(program)]).chain(arguments.iter().copied()).map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn new_connections_have_the_latest_token() {
        let Some(binaries) = binaries() else {
            eprintln!("postgresql is not installed: skipped");
            return;
        };
        let (_server, tokens) = start();
        let (folder, port) = (tempfile::tempdir_in("/tmp").unwrap(), free_port());
        let _ = Command::new("chown").args(["postgres", text(folder.path())]).status();
        let (data, password) = (folder.path().join("data"), folder.path().join("password"));
        std::fs::write(&password, "admin").unwrap();
        let arguments = ["-D", text(&data), "-U", "admin", "-A", "password", "--pwfile", text(&password), "-N"];
        let initdb = as_user(&binaries.join("initdb"), &arguments);
        assert!(Command::new(&initdb[0]).args(&initdb[1..]).output().unwrap().status.success());
        let port_text = port.to_string();
        let arguments = ["-D", text(&data), "-p", &port_text, "-h", "127.0.0.1", "-k", text(folder.path())];
        let postgres = as_user(&binaries.join("postgres"), &arguments);
        let arguments: Vec<_> = postgres[1..].iter().map(String::as_str).collect();
        let Some(_postgres) = Daemon::start(&postgres[0], &arguments, port) else { return };

        let options = PgConnectOptions::new().host("127.0.0.1").port(port).database("postgres");
        let mut admin = loop {
            // It listens before it accepts queries.
            match PgConnection::connect_with(&options.clone().username("admin").password("admin")).await {
                Ok(admin) => break admin,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let mut accept = async |verb: &str, token: &str| {
            let sql = format!("{verb} ROLE billing LOGIN PASSWORD '{token}'");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        };
        let first = tokens.token().await.unwrap();
        accept("CREATE", first.expose_secret()).await;
        let options = options.username("billing");
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options.clone());
        let keeper = tokio::spawn(keep(pool.clone(), options, tokens.changes()));
        let connects = async || {
            while pool.acquire().await.map(|connection| connection.detach()).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(MINUTE, connects()).await.unwrap();
        accept("ALTER", next_after(&tokens, &first).await.expose_secret()).await;
        tokio::time::timeout(MINUTE, connects()).await.unwrap();
        keeper.abort();
    }
}
