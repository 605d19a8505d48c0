# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read along in a dump."""

from __future__ import annotations

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._census import Census

MYSQL = rb"""-- MySQL dump 10.13  Distrib 9.7.4, for Linux (x86_64)
/*!40103 SET TIME_ZONE='+00:00' */;
-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='binlog.000001', SOURCE_LOG_POS=5982;
CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop`;

USE `shop`;
LOCK TABLES `orders` WRITE;
INSERT INTO `orders` VALUES (1,'a,(b),(c\'x\\)',0x00FF27),(2,'\n),(',NULL),(3,'-- Dump completed',0x78);
INSERT INTO `orders` VALUES (4,'','');
UNLOCK TABLES;
LOCK TABLES `odd ``name` WRITE;
INSERT INTO `odd ``name` (`a`, `b VALUES (`) VALUES (1,2),(3,4);
UNLOCK TABLES;
LOCK TABLES `empty` WRITE;
UNLOCK TABLES;
CREATE PROCEDURE `p`() BEGIN
INSERT INTO `orders` VALUES (1),(2);
END ;;
-- Dump completed
"""
MARIADB = rb"""/*M!999999\- enable the sandbox mode */
-- CHANGE MASTER TO MASTER_LOG_FILE='binlog.000004', MASTER_LOG_POS=1120;
USE `shop`;
LOCK TABLES `orders` WRITE;
INSERT INTO `orders` VALUES
(1,'a,(b),(c\'x\\)',0x00ff27),
(2,'\n),(',NULL),
(3,'-- Dump completed',0x78);
UNLOCK TABLES;
-- Dump completed
"""


VIEWS = ((b"v", b"`a`"), (b"v", b"`s`.`a`"), (b"w", b"`a`"))


def read(text: bytes, size: int = 7) -> Census:
    census = Census()
    for start in range(0, len(text), size):
        census.feed(text[start : start + size])
    census.close()
    return census


def test_rows_are_counted_in_a_dump_of_mysql() -> None:
    census = read(MYSQL)
    assert census.position == ("binlog.000001", 5982)
    assert census.complete
    assert {table.title: table.rows for table in census.tables} == {
        "shop.orders": 4,
        "shop.odd `name": 2,
        "shop.empty": 0,
    }


def test_rows_are_counted_in_a_dump_of_mariadb() -> None:
    census = read(MARIADB)
    assert census.position == ("binlog.000004", 1120)
    assert census.complete
    assert [(table.title, table.rows) for table in census.tables] == [("shop.orders", 3)]


@pytest.mark.parametrize("text", [MYSQL, MARIADB])
def test_it_is_the_same_however_it_comes(text: bytes) -> None:
    one, two = read(text, 1), read(text, 100_000)
    assert (one.tables, one.structure) == (two.tables, two.structure)


@pytest.mark.parametrize("text", [MYSQL, MARIADB])
def test_a_dump_that_lacks_its_last_line_is_not_complete(text: bytes) -> None:
    lines = text.splitlines(keepends=True)
    assert not read(b"".join(lines[:-1])).complete
    assert not read(b"").complete
    assert not read(b"-- Dump completed\nmore\n").complete


@pytest.mark.parametrize("text", [MYSQL, MARIADB])
def test_other_rows_are_other_content_and_other_definitions_another_structure(text: bytes) -> None:
    before = read(text)
    rows, definition = read(text.replace(b"0x78", b"0x79")), read(text.replace(b"USE `shop`", b"USE `shop2`"))
    assert rows.tables != before.tables
    assert rows.structure == before.structure
    assert definition.structure != before.structure
    views = [read(text + b"/*!50001 VIEW `%s` AS select %s from t */;\n" % view) for view in VIEWS]
    assert views[0].structure == views[1].structure
    assert views[0].structure != views[2].structure
    # Where it was read is no part of what it is.
    assert read(text.replace(b"5982", b"1").replace(b"1120", b"1")).structure == before.structure
