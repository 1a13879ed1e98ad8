-- Purpose: inserts many coupons at once; the program appends one (?, ?, ?, ?, ?) a row, and the database's own words for
-- passing over a row whose user or slot has one.
-- Parameters, of each row: campaign ID, user ID, slot, admitted at, issued at. Atomic: one statement.
INSERT INTO coupon (campaign_id, user_id, slot, admitted_at, issued_at) VALUES
