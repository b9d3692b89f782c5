"use strict";

const { isLeapYear } = require("leap-years");

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

// Days of a month; months are numbered from 1.
exports.daysInMonth = (year, month) => {
  if (month === 2 && isLeapYear(year)) return 29;
  return DAYS[month];
};
