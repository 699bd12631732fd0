//! What each call must return, and how many requests a run may make.

use tokio::time::timeout;

use super::*;

impl Sim {
    pub(super) async fn call(&mut self, r: usize, tenant: usize) -> Result<(), String> {
        self.calls += 1;
        let began = Instant::now();
        let answer = timeout(Duration::from_secs(60), self.processes[r].tokens[tenant].token()).await;
        let well = self.issuer.outage.lock().unwrap().is_none();
        // After the end of an outage a cache may still wait for the end of its pause.
        let long_well = well && self.server_out.is_none_or(|end| end + Duration::from_secs(90) < began);
        let token = match answer {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => {
                self.note(|| format!("{r} gets no token of {tenant}: {error}"));
                return match long_well {
                    true => Err(format!("no token of {tenant} for {r}, though the server is available: {error:#}")),
                    false => Ok(()),
                };
            }
            Err(_) => return Err(format!("{r} waits for more than a minute")),
        };
        let now = Instant::now();
        let value = token.expose_secret();
        self.note(|| format!("{r} gets {value} of {tenant}"));
        let entry = self.issuer.book.lock().unwrap().tokens.get(value).cloned();
        let entry = entry.ok_or_else(|| format!("{value} was never issued"))?;
        let process = &mut self.processes[r];
        if entry.tenant != tenant {
            return Err(format!("{r} gets {value} for {tenant}, which is of {}: foreign", entry.tenant));
        }
        if entry.end <= now {
            return Err(format!("{r} gets {value}, {:?} after it expired: expired", now - entry.end));
        }
        if process.rejected.iter().any(|one| one == value) {
            return Err(format!("{r} gets {value} again: rejected"));
        }
        process.last[tenant] = Some(token);
        Ok(())
    }

    /// Without faults: one request for each lifetime and tenant. With faults, in addition: one for each replica and
    /// event, those of replicas that do not share while the store fails, and those that the pauses of the caches allow
    /// during an outage.
    pub(super) fn judge_requests(&self) -> Result<(), String> {
        let book = self.issuer.book.lock().unwrap();
        let policy = CachePolicy::new();
        let lifetime = self.issuer.lifetime;
        let skew = Duration::from_secs(30).min(lifetime / 10);
        let due = crate::cache::Schedule::of(lifetime - skew, None, &policy, 1.0).refresh;
        // The lifetime counts from before the request, so that a token is due a little earlier.
        let lifetimes = |span: Duration| 1 + (span.as_secs_f64() / (due.as_secs_f64() - 1.0)) as u32;
        let replicas = self.processes.len() as u32;
        let events = self.events + self.rejections;
        let elapsed = self.start.elapsed();
        for tenant in 0..self.tenants {
            let most = match self.calm {
                true => lifetimes(elapsed),
                false => {
                    let unshared = self.store_was_out + self.server_was_out;
                    lifetimes(elapsed) + replicas * (events + lifetimes(unshared) + 1)
                }
            };
            let issued = book.issued[tenant];
            if issued > most {
                return Err(format!("{issued} requests for {tenant}, and {most} at most: too many"));
            }
        }
        let sources = replicas * self.tenants as u32;
        let most = sources * (self.events * 8 + (self.server_was_out.as_secs_f64() / 5.0) as u32);
        if book.refused > most {
            return Err(format!("{} requests that failed, and {most} at most: too many", book.refused));
        }
        Ok(())
    }
}
