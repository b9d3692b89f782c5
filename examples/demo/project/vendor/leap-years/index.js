"use strict";

// The Gregorian rule: every fourth year, but of the full centuries only every fourth.
exports.isLeapYear = (year) => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
