"""Orders with the names of their customers, by Django: one statement too many for each order."""

from django.db import models


class Customer(models.Model):
    name = models.TextField()

    class Meta:
        app_label = "shop"
        db_table = "customers"


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)

    class Meta:
        app_label = "shop"
        db_table = "orders"


def named_orders() -> list[tuple[int, str]]:
    return [(order.id, order.customer.name) for order in Order.objects.all()]
