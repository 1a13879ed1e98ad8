-- Purpose: inserts many coupons at once; the program appends one (?, ?, ?, ?, now) a row, and the database's own words for
-- passing over a row whose user or slot has one.
-- Parameters, of each row: campaign ID, user ID, slot, admitted at. Now is the database's own word for the moment, so that
-- nobody has to ask for it; where it has none, it is a parameter too. Atomic: one statement.
INSERT INTO coupon (campaign_id, user_id, slot, admitted_at, issued_at) VALUES
