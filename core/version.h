/* version.h - moonbox's version, by semantic versioning. */
#ifndef MOONBOX_VERSION_H
#define MOONBOX_VERSION_H

#define MOONBOX_VERSION "0.1.0"

#endif
