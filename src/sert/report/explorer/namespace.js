"use strict";
// The one global name. Every other file is a block that adds one part to it; Python joins them in a fixed order.
const sertExplorer = {};
