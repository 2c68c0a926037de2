//! How the statements of [`super::tables`] are run. Written once for two drivers: their types have nothing in common that could be
//! named.

macro_rules! tables {
    ($connection:ty, $row:ty) => {
        impl Tables for $connection {
            async fn lock(&mut self, namespace: &str) -> Sql<Place> {
                let query = sqlx::query(LOCK).bind(namespace);
                place_of(&query.fetch_one(self).await?)
            }

            async fn place(&mut self, namespace: &str) -> Sql<(String, Place)> {
                let row = sqlx::query(PLACE).bind(namespace).fetch_one(self).await?;
                Ok((row.try_get(3)?, place_of(&row)?))
            }

            async fn places(&mut self) -> Sql<Vec<(String, i64)>> {
                let rows = sqlx::query(PLACES).fetch_all(self).await?;
                rows.iter()
                    .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                    .collect()
            }

            async fn advance(&mut self, namespace: &str, now: i64) -> Sql<i64> {
                let query = sqlx::query(ADVANCE).bind(namespace).bind(now);
                query.fetch_one(self).await?.try_get(0)
            }

            async fn seen_at(&mut self) -> Sql<i64> {
                sqlx::query(SEEN_AT).fetch_one(self).await?.try_get(0)
            }

            async fn tick(&mut self, now: i64, most: i64) -> Sql<i64> {
                let query = sqlx::query(TICK).bind(now).bind(most);
                query.fetch_one(self).await?.try_get(0)
            }

            async fn clamp_releases(&mut self, now: i64) -> Sql<()> {
                let query = sqlx::query(CLAMP).bind(now);
                query.execute(self).await.map(drop)
            }

            async fn row(
                &mut self,
                namespace: &str,
                account: &str,
                origin: &str,
            ) -> Sql<Option<Row>> {
                let query = sqlx::query(ROW).bind(namespace).bind(account).bind(origin);
                let row = query.fetch_optional(self).await?;
                row.as_ref().map(row_of).transpose()
            }

            async fn put(&mut self, row: &Row) -> Sql<()> {
                let query = sqlx::query(PUT)
                    .bind(&row.namespace)
                    .bind(&row.account)
                    .bind(&row.origin);
                let query = query
                    .bind(row.revision)
                    .bind(row.until_at)
                    .bind(row.ended_at);
                query.bind(&row.json).execute(self).await.map(drop)
            }

            async fn mark(
                &mut self,
                namespace: &str,
                account: &str,
                origin: &str,
            ) -> Sql<Option<Mark>> {
                let query = sqlx::query(MARK).bind(namespace).bind(account).bind(origin);
                let Some(row) = query.fetch_optional(self).await? else {
                    return Ok(None);
                };
                Ok(Some(Mark {
                    account: row.try_get(0)?,
                    origin: row.try_get(1)?,
                    revision: row.try_get(2)?,
                    at: row.try_get(3)?,
                    disowned: disowned_of(&row, 4)?,
                }))
            }

            async fn put_mark(&mut self, namespace: &str, mark: &Mark) -> Sql<()> {
                let query = sqlx::query(PUT_MARK)
                    .bind(namespace)
                    .bind(&mark.account)
                    .bind(&mark.origin);
                let query = query.bind(mark.revision).bind(mark.at);
                let (from, to) = mark.disowned.unzip();
                let query = query.bind(from).bind(to);
                query.execute(self).await.map(drop)
            }

            async fn note(&mut self, event: &Event) -> Sql<()> {
                let query = sqlx::query(NOTE)
                    .bind(event.revision)
                    .bind(&event.namespace);
                let query = query
                    .bind(&event.account)
                    .bind(event.at)
                    .bind(&event.action);
                let query = query.bind(&event.who).bind(&event.why).bind(&event.json);
                query.execute(self).await.map(drop)
            }

            async fn trim(&mut self, namespace: &str, account: &str, most: i64) -> Sql<()> {
                let query = sqlx::query(TRIM).bind(namespace).bind(account).bind(most);
                query.execute(self).await.map(drop)
            }

            async fn of_account(&mut self, namespace: &str, account: &str) -> Sql<Vec<Row>> {
                let query = sqlx::query(OF_ACCOUNT).bind(namespace).bind(account);
                query.fetch_all(self).await?.iter().map(row_of).collect()
            }

            async fn since(&mut self, namespace: &str, revision: i64, most: i64) -> Sql<Vec<News>> {
                let query = sqlx::query(SINCE).bind(namespace).bind(revision).bind(most);
                query.fetch_all(self).await?.iter().map(news_of).collect()
            }

            async fn standing(&mut self, namespace: &str, most: i64) -> Sql<Vec<News>> {
                let query = sqlx::query(STANDING).bind(namespace).bind(most);
                query.fetch_all(self).await?.iter().map(news_of).collect()
            }

            async fn count(&mut self, namespace: &str, most: i64) -> Sql<i64> {
                let query = sqlx::query(COUNT).bind(namespace).bind(most);
                query.fetch_one(self).await?.try_get(0)
            }

            async fn due(&mut self, namespace: &str, before: i64, most: i64) -> Sql<Vec<Row>> {
                let query = sqlx::query(DUE).bind(namespace).bind(before).bind(most);
                query.fetch_all(self).await?.iter().map(row_of).collect()
            }

            async fn history(
                &mut self,
                namespace: &str,
                account: &str,
                most: i64,
            ) -> Sql<Vec<Event>> {
                let query = sqlx::query(HISTORY)
                    .bind(namespace)
                    .bind(account)
                    .bind(most);
                query.fetch_all(self).await?.iter().map(event_of).collect()
            }

            async fn forget(&mut self, namespace: &str, keep: Keep) -> Sql<()> {
                let Keep {
                    history,
                    ended,
                    releases,
                } = keep;
                let bounds = [ended, ended, releases, releases, releases, history];
                for (sql, (before, most)) in FORGET.into_iter().zip(bounds) {
                    let query = sqlx::query(sql).bind(namespace).bind(before).bind(most);
                    query.execute(&mut *self).await?;
                }
                Ok(())
            }
        }

        fn place_of(row: &$row) -> Sql<Place> {
            Ok(Place {
                revision: row.try_get(0)?,
                horizon: row.try_get(1)?,
                forgotten: row.try_get(2)?,
            })
        }

        fn row_of(row: &$row) -> Sql<Row> {
            Ok(Row {
                namespace: row.try_get(0)?,
                account: row.try_get(1)?,
                origin: row.try_get(2)?,
                revision: row.try_get(3)?,
                until_at: row.try_get(4)?,
                ended_at: row.try_get(5)?,
                json: row.try_get(6)?,
            })
        }

        fn news_of(row: &$row) -> Sql<News> {
            Ok(match row.try_get(7)? {
                None => News::Restriction(row_of(row)?),
                Some(at) => News::Release(Mark {
                    account: row.try_get(1)?,
                    origin: row.try_get(2)?,
                    revision: row.try_get(3)?,
                    at,
                    disowned: disowned_of(row, 8)?,
                }),
            })
        }

        fn disowned_of(row: &$row, at: usize) -> Sql<Option<(i64, i64)>> {
            let (from, to): (Option<i64>, Option<i64>) = (row.try_get(at)?, row.try_get(at + 1)?);
            Ok(from.zip(to))
        }

        fn event_of(row: &$row) -> Sql<Event> {
            Ok(Event {
                revision: row.try_get(0)?,
                namespace: row.try_get(1)?,
                account: row.try_get(2)?,
                at: row.try_get(3)?,
                action: row.try_get(4)?,
                who: row.try_get(5)?,
                why: row.try_get(6)?,
                json: row.try_get(7)?,
            })
        }
    };
}
pub(super) use tables;
