CREATE INDEX `jobs_newest` ON `jobs` (`key_digest`,`take`,`sequencer`,`created_at`);--> statement-breakpoint
DROP INDEX `jobs_newest_version` ON `jobs`;--> statement-breakpoint
CREATE INDEX `webhook_deliveries_overdue` ON `webhook_deliveries` (`next_attempt_at`);--> statement-breakpoint
DROP INDEX `webhook_events_created` ON `webhook_events`;