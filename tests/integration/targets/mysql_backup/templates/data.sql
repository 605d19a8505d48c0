-- Copyright (c) 2026, The stateful.kube authors
-- GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
CREATE DATABASE shop;
USE shop;
CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, what VARCHAR(200), data BLOB);
INSERT INTO orders (what, data) VALUES ('a,(b),(c''x\\)', x'00ff27'), ('é\n\ttab', NULL), ('-- Dump completed', 'x');
CREATE TABLE `odd ``table; name` (a LONGTEXT);
INSERT INTO `odd ``table; name` VALUES ('z'), (REPEAT('long', 500000)), (NULL);
CREATE VIEW seen AS SELECT id, what FROM orders;
CREATE TRIGGER loud BEFORE INSERT ON orders FOR EACH ROW SET NEW.what = CONCAT(NEW.what, '!');
CREATE FUNCTION five() RETURNS INT DETERMINISTIC RETURN 5;
CREATE EVENT clear_up ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM shop.orders;
CREATE USER app@'%' IDENTIFIED BY 'of the application';
GRANT SELECT, INSERT ON shop.* TO app@'%';
