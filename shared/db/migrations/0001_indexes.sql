CREATE INDEX `jobs_newest` ON `jobs` (`key_digest`,`take`,`sequencer`,`created_at`);--> statement-breakpoint
DROP INDEX `jobs_newest_version` ON `jobs`;