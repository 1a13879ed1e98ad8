// Package domain holds the words of firstcome: campaigns, applications, coupons and fail events, the error
// codes, and the small interfaces through which the roles (api, consumer, retryer) reach the stores.
//
// It imports neither a driver nor another package of this module, so that every rule in it can be read and
// tested alone. The order of the steps of one application is written down in the package store/redisgate
// (admission), api (the answer), consumer (the coupon row) and retryer (what failed).
package domain
