CREATE TABLE `art_analysis` (
	`id` bigint AUTO_INCREMENT NOT NULL,
	`genre` varchar(100) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`style1` varchar(100) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`style2` varchar(100) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`style3` varchar(100) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`style4` varchar(100) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`style5` varchar(100) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`score1` float NOT NULL,
	`score2` float NOT NULL,
	`score3` float NOT NULL,
	`score4` float NOT NULL,
	`score5` float NOT NULL,
	`image_url` varchar(4096) character set ascii collate ascii_bin NOT NULL,
	`music_url` varchar(4096) character set ascii collate ascii_bin NOT NULL,
	`created_at` datetime(3) NOT NULL,
	`job_id` char(32) character set ascii collate ascii_bin NOT NULL,
	`image_key` varbinary(1024) NOT NULL,
	`image_version` varbinary(1024) NOT NULL,
	`take` int unsigned NOT NULL,
	`genre_score` float NOT NULL,
	`prompt` varchar(2000) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`seed` int unsigned NOT NULL,
	`duration_seconds` double NOT NULL,
	`sample_rate` int unsigned NOT NULL,
	`music_bytes` int unsigned NOT NULL,
	`music_sha256` char(64) character set ascii collate ascii_bin NOT NULL,
	`music_model` varchar(200) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`music_model_revision` varchar(100) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`classifier_model` varchar(200) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`classifier_model_revision` varchar(100) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`queue_ms` int unsigned NOT NULL,
	`fetch_ms` int unsigned NOT NULL,
	`classify_ms` int unsigned NOT NULL,
	`generate_ms` int unsigned NOT NULL,
	`store_ms` int unsigned NOT NULL,
	`total_ms` int unsigned NOT NULL,
	`embedding` blob,
	CONSTRAINT `art_analysis_id` PRIMARY KEY(`id`),
	CONSTRAINT `art_analysis_job_id` UNIQUE(`job_id`)
);
--> statement-breakpoint
CREATE TABLE `art_labels` (
	`kind` varchar(8) character set ascii collate ascii_bin NOT NULL,
	`name` varchar(100) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`created_at` datetime(3) NOT NULL,
	`job_id` char(32) character set ascii collate ascii_bin NOT NULL,
	CONSTRAINT `art_labels_kind_name_created_at_job_id_pk` PRIMARY KEY(`kind`,`name`,`created_at`,`job_id`)
);
--> statement-breakpoint
CREATE TABLE `consumers` (
	`id` char(32) character set ascii collate ascii_bin NOT NULL,
	`version` varchar(50) character set ascii collate ascii_bin NOT NULL,
	`started_at` datetime(3) NOT NULL,
	`seen_at` datetime(3) NOT NULL,
	`state` varchar(16) character set ascii collate ascii_bin NOT NULL,
	`in_work` int unsigned NOT NULL,
	`slots` int unsigned NOT NULL,
	`outages` varchar(200) character set ascii collate ascii_bin NOT NULL,
	`execution_providers` varchar(200) character set ascii collate ascii_bin NOT NULL,
	`music_model` varchar(200) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`music_model_revision` varchar(100) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`classifier_model` varchar(200) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`classifier_model_revision` varchar(100) character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`clips` int unsigned NOT NULL,
	`real_time_factor` double,
	`received_age_seconds` double,
	CONSTRAINT `consumers_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE `jobs` (
	`id` char(32) character set ascii collate ascii_bin NOT NULL,
	`bucket` varchar(63) character set ascii collate ascii_bin NOT NULL,
	`image_key` varbinary(1024) NOT NULL,
	`key_digest` char(64) character set ascii collate ascii_bin NOT NULL,
	`version` varbinary(1024) NOT NULL,
	`version_id` varbinary(1024),
	`etag` varbinary(512) NOT NULL,
	`take` int unsigned NOT NULL,
	`ordered_prompt` varchar(2000) character set utf8mb4 collate utf8mb4_bin,
	`ordered_seed` int unsigned,
	`ordered_seconds` double,
	`order_key` char(64) character set ascii collate ascii_bin,
	`order_digest` char(64) character set ascii collate ascii_bin,
	`size_bytes` bigint unsigned NOT NULL,
	`sequencer` char(64) character set ascii collate ascii_bin NOT NULL,
	`state` varchar(16) character set ascii collate ascii_bin NOT NULL,
	`stage` varchar(16) character set ascii collate ascii_bin,
	`progress` float NOT NULL,
	`eta_seconds` float,
	`attempt` int unsigned NOT NULL,
	`lease_token` varchar(64) character set ascii collate ascii_bin,
	`lease_expires_at` datetime(3),
	`error_code` varchar(64) character set ascii collate ascii_bin,
	`error_message` varchar(500) character set utf8mb4 collate utf8mb4_bin,
	`error_retryable` boolean,
	`uploaded_at` datetime(3),
	`created_at` datetime(3) NOT NULL,
	`started_at` datetime(3),
	`finished_at` datetime(3),
	`updated_at` datetime(3) NOT NULL,
	CONSTRAINT `jobs_id` PRIMARY KEY(`id`),
	CONSTRAINT `jobs_order_key` UNIQUE(`order_key`)
);
--> statement-breakpoint
CREATE TABLE `webhook_deliveries` (
	`id` bigint AUTO_INCREMENT NOT NULL,
	`event_id` bigint NOT NULL,
	`endpoint` char(64) character set ascii collate ascii_bin NOT NULL,
	`payload` mediumtext character set utf8mb4 collate utf8mb4_bin NOT NULL,
	`attempts` int unsigned NOT NULL,
	`next_attempt_at` datetime(3) NOT NULL,
	`last_error` varchar(500) character set utf8mb4 collate utf8mb4_bin,
	`created_at` datetime(3) NOT NULL,
	CONSTRAINT `webhook_deliveries_id` PRIMARY KEY(`id`),
	CONSTRAINT `webhook_deliveries_event` UNIQUE(`event_id`,`endpoint`)
);
--> statement-breakpoint
CREATE TABLE `webhook_events` (
	`id` bigint AUTO_INCREMENT NOT NULL,
	`job_id` char(32) character set ascii collate ascii_bin NOT NULL,
	`state` varchar(16) character set ascii collate ascii_bin NOT NULL,
	`created_at` datetime(3) NOT NULL,
	CONSTRAINT `webhook_events_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE INDEX `art_labels_job` ON `art_labels` (`job_id`);--> statement-breakpoint
CREATE INDEX `consumers_seen` ON `consumers` (`seen_at`);--> statement-breakpoint
CREATE INDEX `jobs_newest_version` ON `jobs` (`key_digest`,`sequencer`);--> statement-breakpoint
CREATE INDEX `jobs_state` ON `jobs` (`state`,`updated_at`,`error_code`);--> statement-breakpoint
CREATE INDEX `jobs_created` ON `jobs` (`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `jobs_state_created` ON `jobs` (`state`,`created_at`,`id`);--> statement-breakpoint
CREATE INDEX `jobs_image_key` ON `jobs` (`image_key`,`created_at`);--> statement-breakpoint
CREATE INDEX `webhook_deliveries_due` ON `webhook_deliveries` (`endpoint`,`next_attempt_at`);--> statement-breakpoint
CREATE INDEX `webhook_events_created` ON `webhook_events` (`created_at`);